"""`cauldron docmatix` as typed: the recipe's section, what overrides it, endpoint and limits."""

from __future__ import annotations

from dataclasses import dataclass

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.core.output.docmatix import DocmatixManifest
from cauldron.core.progress import Progress
from cauldron.core.sections.docmatix import DocmatixRules
from cauldron.core.sections.models import ModelRules
from cauldron.inspect.planning.docmatix import DocmatixPlan, plan_of
from cauldron.pipeline.docmatix import DocmatixOptions, make_docmatix, select_documents
from cauldron.pipeline.runners.runner import Launcher
from cauldron.recipe import Recipe
from cauldron.sources.repos.folders import is_folder
from cauldron.transforms.models.budget import Limits, Price, parse_price
from cauldron.transforms.models.endpoint import Endpoint

_PLAN = "plan"
_DEFAULT_MAX_TOKENS = 2000


@dataclass(frozen=True, kw_only=True)
class DocmatixCommand:
    """Everything that the user typed.

    Attributes:
        arguments: ``plan`` or nothing, PDFS, options for Beam.
        url: of the endpoint.
    """

    arguments: tuple[str, ...]
    recipe: Recipe
    url: str | None
    model: str | None
    output: str
    seed: int | None
    limit: int | None
    key_from: str | None
    concurrency: int
    max_requests: int | None
    max_cost: float | None
    price: str | None
    shared_folders: bool

    @property
    def is_plan(self) -> bool:
        return self.arguments[:1] == (_PLAN,)

    def plan(self, progress: Progress) -> DocmatixPlan:
        """Select the documents, and add up the requests on them."""
        options = self._options()
        launcher = Launcher(options.beam_args, progress.say, progress.track, output=options.output)
        selected = select_documents(options, launcher)
        model = options.rules.model
        max_tokens = model.max_tokens if model else _DEFAULT_MAX_TOKENS
        return plan_of(selected.manifest, selected.job, max_tokens)

    def make(self, progress: Progress) -> DocmatixManifest:
        """Make the dataset."""
        options = self._options()
        if self.url is None:
            raise UsageError(f"give --endpoint URL, or `docmatix {_PLAN}` for the cost alone")
        endpoint = Endpoint(
            self.url, self._model(options.rules), self.key_from, concurrency=self.concurrency
        )
        limits = Limits(self.max_requests, self.max_cost, self.prices() or Price())
        launcher = Launcher(options.beam_args, progress.say, progress.track, output=options.output)
        return make_docmatix(options, endpoint, limits, launcher)

    def prices(self) -> Price | None:
        """Raises UsageError unless ``--price`` is two numbers."""
        if self.price is None:
            return None
        return parse_price(self.price)

    def _options(self) -> DocmatixOptions:
        given = list(self.arguments[self.is_plan :])
        places = given[: next((i for i, x in enumerate(given) if x.startswith("-")), len(given))]
        if len(places) != 1:
            what = f", not {', '.join(places)}" if places else " before the options of Beam"
            raise UsageError(f"give one folder, gs:// address or dataset of PDFs{what}")
        output = self.output.rstrip("/") or "/"
        storage.filesystem(output)
        if _inside(output, places[0]):
            raise UsageError(f"--output {output} is inside {places[0]}: give another folder")
        return DocmatixOptions(
            pdfs=places[0],
            output=output,
            rules=self._rules(),
            seed=self.recipe.seed if self.seed is None else self.seed,
            limit=self.limit or -1,
            beam_args=tuple(given[1:]),
            shared_folders=self.shared_folders,
        )

    def _rules(self) -> DocmatixRules:
        return self.recipe.docmatix or DocmatixRules()

    def _model(self, rules: DocmatixRules) -> ModelRules:
        if self.model is not None:
            known = rules.model
            if known is None:
                return ModelRules(name=self.model)
            return known.model_copy(update={"name": self.model})
        if rules.model is None:
            raise UsageError("give --model NAME, or docmatix: {model: {name: …}} in the recipe")
        return rules.model


def _inside(output: str, pdfs: str) -> bool:
    """Whether the output would be read as part of the input by the next run."""
    if not (storage.is_local(output) and storage.is_local(pdfs) and is_folder(pdfs)):
        return False
    inner, outer = (storage.filesystem(path)[1].rstrip("/") + "/" for path in (output, pdfs))
    return inner.startswith(outer)
