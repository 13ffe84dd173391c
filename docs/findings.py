"""Write `docs/findings.md` from the table of findings: `python docs/findings.py`.

Codes, severities, meanings and examples come from `maskrcnn.data.findings`, so the page can't say anything else
than the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from maskrcnn.data.findings import RULES, SEVERITIES

PAGE = Path(__file__).with_name("findings.md")

HEAD = """\
# Findings

Everything that `maskrcnn data doctor` can find in annotated pictures, what it does to training, and what mends it.

This page is written by `python docs/findings.py` from `src/maskrcnn/data/findings.py`.
Change the table there and not the page; a test compares the two.

```bash
maskrcnn data doctor photos/train
maskrcnn data doctor photos/train photos/val --deleak val-clean
maskrcnn data doctor photos/train --fix mended --ignore G209
```

- An **error** would stop training, or teach something wrong everywhere. The exit status is 1 if there is one.
- A **warning** harms the model or its numbers.
- A **note** is worth a look, and may be just as it should be.

A code keeps its meaning. `--only` and `--ignore` take codes or names, separated by commas.

`--fix` writes a mended copy as COCO, and lists every change in its `fixes.json`.
The originals are never changed.

Training and evaluation look for the errors that cost little to find before they begin, refuse them with the code,
and say in one line how many warnings there are.

"""

PARTS = {
    "F": "The annotation file and its records",
    "P": "Pictures",
    "G": "Geometry of objects",
    "C": "Classes",
    "S": "The set as a whole",
}


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD + "## All of them", "", *_index(), "", *_parts()]) + "\n"


def _index() -> Iterator[str]:
    yield "| code | name | severity | `--fix` |"
    yield "|---|---|---|---|"
    for severity in SEVERITIES:
        for code, rule in RULES.items():
            if rule.severity == severity:
                yield f"| [{code}](#{code.lower()}-{rule.name}) | {rule.name} | {severity} | {rule.mend or '-'} |"


def _parts() -> Iterator[str]:
    blocks = []
    for letter, title in PARTS.items():
        blocks.append(f"## {title}")
        blocks += [_entry(code) for code in RULES if code.startswith(letter)]
    yield "\n\n".join(blocks)


def _entry(code: str) -> str:
    rule = RULES[code]
    return "\n".join(
        [
            f"### {code} {rule.name}",
            "",
            f"{rule.meaning}",
            "",
            f"- severity: {rule.severity}",
            f"- what it does: {rule.effect}",
            f"- `--fix`: {rule.mend or 'nothing; only a person can mend it'}",
            "",
            "```text",
            rule.example,
            "```",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
