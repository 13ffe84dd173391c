"""XML files as plain trees, read so that a hostile one does no harm.

A document type declaration, with which a few lines can swell to gigabytes or name other files, is refused, and
so is absurd depth.

References: XML 1.0; expat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from maskrcnn.data.formats.fields import read_bytes
from maskrcnn.errors import AnnotationError

_DEEPEST = 64


@dataclass(slots=True)
class Node:
    """An element.

    Attributes:
        tag: Its name.
        attributes: Its attributes.
        text: The text directly inside, without white space around it.
        children: The elements directly inside.
    """

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, *tags: str) -> list[Node]:
        """Return the elements directly inside with one of these names."""
        return [child for child in self.children if child.tag in tags]

    def first(self, tag: str) -> Node | None:
        """Return the first element of this name directly inside, or None."""
        return next((child for child in self.children if child.tag == tag), None)

    def value(self, *tags: str) -> str | None:
        """Return the text of the element that a path of names leads to; None where there is none, or no text."""
        node: Node | None = self
        for tag in tags:
            node = node.first(tag) if node is not None else None
        return (node.text or None) if node is not None else None

    def inside(self, tag: str) -> Iterator[Node]:
        """Go through all elements of this name at any depth."""
        for child in self.children:
            if child.tag == tag:
                yield child
            yield from child.inside(tag)


def load_xml(path: Path) -> Node:
    """Parse an XML file.

    Raises:
        AnnotationError: It can't be read, is not XML, or has what a harmless file does not have.
    """
    content = read_bytes(path)
    try:
        return _parse(content, path)
    except expat.ExpatError as error:
        raise AnnotationError(
            f"{path}: line {error.lineno}, column {error.offset + 1}: expected XML, "
            f"got: {expat.ErrorString(error.code)}",
            code="F001",
        ) from None
    except (LookupError, ValueError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{path}: expected XML in UTF-8, got: {error}", code="F001") from None


def _parse(content: bytes, path: Path) -> Node:
    top = Node("")
    open_nodes, texts = [top], [[""]]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_nodes) > _DEEPEST:
            raise AnnotationError(f"{path}: expected at most {_DEEPEST} elements inside each other, got more")
        node = Node(tag, attributes)
        open_nodes[-1].children.append(node)
        open_nodes.append(node)
        texts.append([])

    def end(_tag: str) -> None:
        open_nodes.pop().text = "".join(texts.pop()).strip()

    def doctype(*_declared: object) -> None:
        raise AnnotationError(f"{path}: expected no document type declaration (<!DOCTYPE>), got one; remove it")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda text: texts[-1].append(text)
    parser.StartDoctypeDeclHandler = doctype
    parser.Parse(content, True)
    return top.children[0]
