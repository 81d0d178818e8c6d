"""The categories of a release as a tree, with the pictures of each node and of all that is below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Row(NamedTuple):
    """A category; `parent` is a key or empty, `id` its row in the database."""

    key: str
    name: str
    gloss: str
    parent: str
    id: int = 0


@dataclass(eq=False)
class Node:
    """A category with its place. `own` counts its own pictures, `total` those below it as well."""

    row: Row
    own: int = 0
    total: int = 0
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)

    @property
    def path(self) -> list[Node]:
        """From the root down to the node above this one."""
        above: list[Node] = []
        node = self.parent
        while node is not None:
            above.append(node)
            node = node.parent
        return above[::-1]

    def classes(self) -> Iterator[Node]:
        """This node and those below it that have pictures of their own, the fullest child first."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.own:
                yield node
            waiting.extend(sorted(node.children, key=lambda n: (n.total, n.row.key)))


class Tree:
    """Every category that has pictures, itself or below it; in the order of `rows`."""

    def __init__(self, rows: Iterable[Row], counts: Mapping[str, int]) -> None:
        """`counts`: pictures of a category's own, by key. A parent that would close a circle is dropped."""
        every = {row.key: Node(row, own=counts.get(row.key, 0)) for row in rows}
        for node in every.values():
            parent = every.get(node.row.parent)
            if parent is not None and node is not parent and node not in parent.path:
                node.parent = parent
        for node in every.values():
            if node.own:
                for above in [*node.path, node]:
                    above.total += node.own
        self.nodes = {key: node for key, node in every.items() if node.total}
        self.roots: list[Node] = []
        for node in self.nodes.values():
            (self.roots if node.parent is None else node.parent.children).append(node)

    def classes(self) -> list[Node]:
        """Categories that have pictures of their own."""
        return [node for node in self.nodes.values() if node.own]
