"""Small PDFs, written by hand: text in Helvetica, no dates, no identifiers, the same every time."""

from __future__ import annotations

from collections.abc import Sequence

from cauldron.sample.draw.ink import wrap
from cauldron.sample.draw.page import Block

A4 = (595, 842)
SIZE = 11


def pdf_of(pages: Sequence[Sequence[Block]], encrypted: bool = False, shrink: int = 1) -> bytes:
    """A PDF of A4 pages.

    Args:
        shrink: its sides are so many times shorter, and all that is on it: quick to draw.
        encrypted: claim the standard security handler with keys that no password opens; readers
            ask for a password.
    """
    bodies = [b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    for page in pages:
        stream = _content(page)
        if shrink > 1:
            stream = b"%g 0 0 %g 0 0 cm\n" % (1 / shrink, 1 / shrink) + stream
        bodies.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>"
            % (*(round(side / shrink) for side in A4), len(bodies) + 4)
        )
        bodies.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    tree = f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode()
    bodies = [b"<< /Type /Catalog /Pages 2 0 R >>", tree, *bodies]
    trailer = b""
    if encrypted:
        key = "<" + "5a" * 32 + ">"
        bodies.append(f"<< /Filter /Standard /V 1 /R 2 /O {key} /U {key} /P -4 >>".encode())
        trailer = f"/Encrypt {len(bodies)} 0 R /ID [<00> <00>] ".encode()
    return assembled(bodies, trailer)


def assembled(bodies: list[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    data = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(bodies) + 1
    return data + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R %s>>\n"
        b"startxref\n%d\n%%%%EOF\n" % (size, table, size, trailer, len(data))
    )


def _content(page: Sequence[Block]) -> bytes:
    parts, y = ["BT"], A4[1] - 70.0
    for block in page:
        size = round(SIZE * block.size)
        for row in block.rows:
            for line in wrap("   ".join(row), size, 430):
                parts.append(f"/F1 {size} Tf 1 0 0 1 70 {y:.1f} Tm ({_escaped(line)}) Tj")
                y -= size * 1.45
        y -= 6
    return "\n".join([*parts, "ET"]).encode("latin-1", "replace")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
