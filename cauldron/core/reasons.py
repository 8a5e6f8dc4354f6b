"""Reason codes: why a row is not kept. Every code that a build can write is listed here.

Ingest has two such outcomes. A row is ``dropped`` by a rule, and ``quarantined`` if it cannot be
read. Only quarantined rows count against the recipe's `max_bad_fraction`, and of those not the rows
whose image could not be fetched: they count against `fetch.max_failed`. Curation merges and drops
rows that ingest kept.
"""

from __future__ import annotations

DROPPED = {
    "image_not_shipped": "the publisher ships no pixels for this row, none were found elsewhere",
    "no_turns": "no question-answer pair is left after cleaning",
    "bad_turn": "a turn of a dialogue is empty, a refusal, or has a special token",
    "long_turn": "a question, an answer or a document is longer than the source's limit",
    "too_many_turns": "more turns than the recipe's hard limit",
    "aspect_ratio": "an image is more elongated than the recipe allows",
    "long_side": "a side of an image is longer than the source's limit",
    "too_many_pages": "a document has more pages than the source's limit",
    "language": "not in a language that the recipe keeps",
    "classifier": "below the threshold of a text classifier",
    "empty_document": "no text or no image of a document is left",
    "too_many_images": "a document has more images than a row may hold",
    "special_token": "a document's text contains a special token of the source's filter",
    "marked_failed": "the publisher marks the row as failed",
}

# Why curation drops a row.
CURATED_OUT = {
    "near_duplicate": "its pictures are those of another row, and the recipe drops such rows; or a "
    "document has the pictures and the text of another",
    "repeated_images": "a document, each picture of which is in more documents than is allowed",
    "contaminated": "a picture of it is a benchmark's, or its text repeats one",
    "low_rating": "a turn of it is rated lower than the recipe's `ratings.keep` allows",
}

# Why a row is merged into another.
MERGED = {
    "exact_copy": "the same pictures and text as another row of the source",
    "same_image": "one of several published rows on one image that the source's reader joins",
    "near_duplicate": "its pictures are those of another row, which took over its turns",
}

QUARANTINED = {
    "unreadable_file": "a whole file cannot be read: empty, truncated, or not what its name says",
    "missing_shard": "the numbering i-of-n in the file names shows that a shard is absent",
    "wrong_columns": "a file lacks the columns of its published layout",
    "unreadable_row_group": "a piece of a parquet file cannot be read",
    "bad_json": "a line or member is not JSON",
    "bad_row": "a row does not have the published structure",
    "no_images": "a row that must have images has none",
    "missing_image": "an image's bytes are null or empty",
    "bad_url": "an image's URL, or one it leads to, is null, empty, or not of http or https",
    "image_unreadable": "an image cannot be decoded",
    "image_truncated": "an image ends before its pixels do",
    "image_too_large": "an image's header announces more pixels than the hard limit",
    "image_placeholders": "the `<image>` placeholders of the questions and the images disagree",
    "unsafe_member": "an archive member would lie outside its root",
    "member_too_large": "an archive member unpacks to more than the limit",
    "pdf_encrypted": "a PDF needs a password",
    "pdf_unreadable": "a PDF cannot be opened or rendered",
    "pdf_missing": "an archive holds an annotation without its PDF",
    "page_missing": "an annotation and its PDF have different numbers of pages: the surplus ones",
    "render_timeout": "a page of a PDF takes longer to render than the limit",
    "row_too_large": "a row is larger than a record may be",
    "processing_error": "an unforeseen error while reading this row; the message names it",
}

# Why an image that is known by its URL could not be had. Its row is quarantined with the same code.
NOT_FETCHED = {
    "http_not_found": "the server has no such image, or no longer (404, 410)",
    "http_forbidden": "the server refuses the image (401, 402, 403, 407, 451)",
    "http_too_many_requests": "the server answers 429, again and again",
    "http_client_error": "the server answers another status 4xx",
    "http_server_error": "the server answers a status 5xx, again and again",
    "http_unexpected": "the server answers a status that goes with no image",
    "http_protocol_error": "the answer is not HTTP, or the connection is closed before it",
    "too_many_redirects": "more redirects than the recipe's limit, or a circle",
    "bad_redirect": "a redirect to nowhere, or to something else than http and https",
    "address_refused": "the host, or one redirected to, is at a private or local address",
    "dns_failure": "the host's name cannot be resolved",
    "connect_failure": "no connection to the host",
    "connect_timeout": "no connection to the host within the limit of time",
    "tls_failure": "the host's certificate or its TLS is not valid",
    "response_timeout": "no answer of the server within the limit of time",
    "body_timeout": "the image comes too slowly, or stops coming",
    "incomplete_body": "the connection ends before the image does",
    "body_too_large": "more bytes than the recipe's limit",
    "bad_encoding": "the answer is compressed in an unknown or broken way",
    "not_an_image": "something else than an image, by its content",
    "empty_body": "an answer without content",
    "noai": "the server forbids this use (X-Robots-Tag: noai, noimageai)",
    "host_given_up": "the host failed so often that it was not asked again",
    "sha256_mismatch": "the image is another one than the publisher's SHA-256 says",
}

# Why a turn is bad: it is left out of its row, or takes its row (`no_turns`, `bad_turn`).
TURN_DROPPED = {
    "empty_question": "the question is empty or null",
    "empty_answer": "the answer is empty or null",
    "refusal": "the answer contains a refusal phrase of the source's filter",
    "special_token": "the text contains a special token of the source's filter",
}

# Why a question to a model has no answer.
NO_ANSWER = {
    "refused": "the endpoint refuses the request, e.g. because it is too long",
    "endpoint_error": "the endpoint fails on this question, again and again, but not on others",
    "broken_answer": "the endpoint sends something that is not an answer, again and again",
}

# Why a turn has no rating.
NOT_RATED = {"not_a_rating": "the model's answer is not one digit from 1 to 5"} | NO_ANSWER


# Why `cauldron docmatix` makes no row of a document, beside codes of `DROPPED` and `QUARANTINED`.
DOCUMENT_DROPPED = {
    "not_chosen": "outside the share of documents that the recipe uses",
    "long_page": "a page has more tokens than the recipe's limit",
    "no_text": "no page holds text",
    "no_answer": "the model answered none of the requests on it",
    "no_pairs": "no pair is left after the filters",
}
DOCUMENT_QUARANTINED = {
    "pdf_too_large": "a PDF is larger than 128 MiB",
}

# Why a pair of question and answer is dropped. The rules are the published ones but for the first
# and the last.
PAIR_DROPPED = {
    "unpaired": "a question without an answer, or an answer without a question",
    "empty_question": "the question is empty",
    "empty_answer": "the answer is empty",
    "braces": "text in braces, `{…}`",
    "brackets": "text in square brackets, `[…]`",
    "angle_brackets": "text in angle brackets, `<…>`",
    "ip_address": "an IP address",
    "dot_in_word": "a dot between letters or digits: an address, a decimal",
    "blank_line": "a blank line",
    "unanswerable": "the word unanswerable",
    "question_number": "a question's number in the text, `Q1: `",
    "answer_number": "an answer's number in the text, `A1: `",
    "not_in_document": "numbers, dates or names of the answer are nowhere in the pages",
    "no_document": "a good pair on a document whose pages cannot be drawn",
}


def outcome_of(reason: str) -> str:
    """``dropped`` or ``quarantined``. Raises KeyError for a code that is not listed."""
    if reason in DROPPED:
        return "dropped"
    if reason in QUARANTINED or reason in NOT_FETCHED:
        return "quarantined"
    raise KeyError(f"unlisted reason {reason!r}")
