"""Documents of a packed sequence do not see each other, and what breaks that is noticed."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from cauldron.training import attention  # noqa: E402
from cauldron.training.attention import packed_attention  # noqa: E402
from cauldron.training.forward import pack_losses, use_fast_vision  # noqa: E402
from cauldron.training.tiny import TILE, tiny_model, tiny_tokenizer  # noqa: E402
from torch.nn.attention import varlen  # noqa: E402

from tests.training.packs import Chat, four_chats, packed  # noqa: E402

NOISE = 2e-6


def network(attention: str | None = None) -> Any:
    """The tiny model as a run prepares it, or with another attention."""
    from cauldron.training.attention import use_packed_attention

    model = tiny_model(tiny_tokenizer(), 3)
    use_fast_vision(model.model.vision_model)
    if attention is None:
        use_packed_attention(model.model.text_model)
    else:
        model.model.text_model.set_attn_implementation(attention)
    return model.eval()


def losses(model: Any, chats: list[Chat]) -> Any:
    return pack_losses(model, packed(chats), tile=TILE, chunk=16).tokens


def largest_difference(model: Any) -> float:
    """Between losses of four documents in one sequence and of each in its own."""
    chats = four_chats()
    with torch.no_grad():
        together = losses(model, chats)
        alone = torch.cat([losses(model, [one]) for one in chats])
    return float((together - alone).abs().max())


def test_a_packed_sequence_costs_what_its_documents_cost_alone() -> None:
    assert largest_difference(network()) < NOISE


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_plain_causal_attention_is_caught_by_the_same_measure(attention: str) -> None:
    """What transformers falls back to in silence: causal over the whole pack."""
    model = network(attention)
    inner = model.model.text_model
    original = inner.forward

    def with_cache(**arguments: Any) -> Any:
        boundaries = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")
        kept = {name: value for name, value in arguments.items() if name not in boundaries}
        return original(**kept | {"use_cache": True})

    inner.forward = with_cache
    assert largest_difference(model) > 0.01


def test_boundaries_hold_with_a_cache_too() -> None:
    model = network()
    inner = model.model.text_model
    original = inner.forward
    inner.forward = lambda **arguments: original(**arguments | {"use_cache": True})
    assert largest_difference(model) < NOISE


def test_gradients_of_a_packed_sequence_are_the_sum_of_its_documents() -> None:
    model = network()
    chats = four_chats()
    pack_losses(model, packed(chats), tile=TILE, chunk=16).total.backward()
    together = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    for one in chats:
        pack_losses(model, packed([one]), tile=TILE, chunk=16).total.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(together[name], parameter.grad, atol=2e-4, rtol=1e-4)


def test_attention_without_boundaries_or_with_a_mask_is_refused() -> None:
    some = torch.zeros((1, 2, 4, 8))
    with pytest.raises(AssertionError, match="boundaries"):
        packed_attention(torch.nn.Module(), some, some, some, None)
    with pytest.raises(AssertionError, match="not masks"):
        packed_attention(torch.nn.Module(), some, some, some, torch.ones(4))


def test_packed_logits_are_those_of_the_published_network() -> None:
    """Loss of one document against transformers' own forward, images and all."""
    from transformers import Idefics3ForConditionalGeneration

    model = network()
    theirs: Any = tiny_model(tiny_tokenizer(), 3).eval()
    assert isinstance(theirs, Idefics3ForConditionalGeneration)
    one = four_chats()[1]
    with torch.no_grad():
        ours = losses(model, [one])
        pixels = ((one.tiles.float() / 255 - 0.5) / 0.5).unsqueeze(0)
        logits = theirs(input_ids=one.ids.unsqueeze(0), pixel_values=pixels).logits[0]
    sequence = packed([one])
    wanted = torch.nn.functional.cross_entropy(logits, sequence.labels, reduction="none")
    torch.testing.assert_close(ours, wanted[sequence.labels != -100], atol=2e-5, rtol=1e-5)


class Recorded:
    """Stands for `varlen_attn`: keeps what it is asked, and answers one document at a time."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def __call__(self, query: Any, key: Any, value: Any, **asked: Any) -> Any:
        self.asked = asked
        groups = query.shape[1] // key.shape[1]
        parts, bounds = [], asked["cu_seq_q"].tolist()
        for start, end in itertools.pairwise(bounds):
            q, k, v = (x[start:end].transpose(0, 1) for x in (query, key, value))
            k, v = (x.repeat_interleave(groups, dim=0) for x in (k, v))
            scores = q @ k.transpose(1, 2) * asked["scale"]
            later = torch.ones(end - start, end - start).triu(1).bool()
            parts.append((scores.masked_fill(later, -torch.inf).softmax(-1) @ v).transpose(0, 1))
        return torch.cat(parts)


def test_the_kernel_for_gpus_is_asked_what_the_loop_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fewer key heads, a scale, causal, and no backend that plans anew for every pack."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn((1, heads, 30, 8), generator=generator) for heads in (4, 2, 2))
    ends = torch.tensor([0, 7, 8, 30], dtype=torch.int32)
    kernel = Recorded()
    monkeypatch.setattr(attention, "varlen_attn", kernel)
    ours = attention._varlen(query, key, value, 0.3, ends, 22)
    torch.testing.assert_close(ours, attention._documents(query, key, value, 0.3, ends))
    assert kernel.asked["cu_seq_k"] is kernel.asked["cu_seq_q"]
    known = inspect.signature(varlen.varlen_attn).parameters
    assert kernel.asked.keys() <= known.keys()
    numbers = ("max_q", "max_k", "window_size", "enable_gqa", "num_splits")
    assert [kernel.asked[name] for name in numbers] == [22, 22, (-1, 0), True, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_kernel_for_gpus_computes_what_the_loop_computes() -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    given = [
        torch.randn((1, heads, 300, 64), generator=generator, device="cuda", dtype=torch.bfloat16)
        for heads in (4, 2, 2)
    ]
    ends = torch.tensor([0, 70, 71, 300], dtype=torch.int32, device="cuda")
    ours = attention._varlen(*given, 0.125, ends, 229)
    theirs = attention._documents(*given, 0.125, ends)
    torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)
