"""A long listing of S3 by many hands: each lists the keys after one of its own, and ends where another began.

S3 begins a listing after any key, whether there is such an object or not. So the keys between a hand and the next one
are split at a guess: the first key after it, if it is a new one, is where another hand begins. Guesses need no folders:
a million keys under one prefix are listed so, too.

A guess may be bad, and a store may sort by another order than S3's: that costs time, and no key. A hand ends only
where it meets the very key with which another began, or at the end of the listing. Keys may come twice, if they
are deleted meanwhile or in another order; `file_lists` takes them once.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from pipeline.storage.errors import failures

ALONE_PAGES = 4
"""So many pages one hand lists alone: most listings end sooner."""

PAGES_BEFORE_SPLIT = 2
"""A hand lists so many pages before its keys are split again: a split costs a page that is listed twice."""

GUESSES = 64
"""Most guesses at first; two more for each page, each a small fraction of its cost …"""

GUESS_CHARS = 96
"""… among keys that differ within their first characters."""

Reply = dict[str, Any]


class ListPage(Protocol):
    """Lists a page of the keys with a prefix, with the arguments of `list_objects_v2` of S3's client."""

    def __call__(self, **details: Any) -> Reply: ...  # noqa: ANN401, D102 - S3's own


def find_objects(list_page: ListPage, prefix: str, at_once: int) -> Iterator[Reply]:
    """Find the objects with a prefix: the first pages in order, then in any.

    Args:
        list_page: asks for a page.
        prefix: of all keys.
        at_once: most requests at a time.
    """
    hand = _Hand("", prefix)
    for _ in range(ALONE_PAGES):
        page = list_page(**hand.details)
        yield from hand.take(page, frozenset())
        if hand.is_done:
            return
    yield from _Hands(list_page, prefix, hand, at_once).find()


@dataclass
class _Hand:
    """Lists keys from one on; all keys are those behind the prefix."""

    first: str
    prefix: str
    details: dict[str, str] = field(default_factory=dict)
    """Of the request for its next page."""
    last: str = ""
    """Its last key so far."""
    limit: str | None = None
    """No key that is not another hand's comes after this, so that no guess is made there; None is not known."""
    pages: int = 0
    """Since its keys were split."""
    is_done: bool = False
    is_asking: bool = False

    def take(self, page: Reply, firsts: frozenset[str] | set[str]) -> list[Reply]:
        """Take a page, and return its objects up to one with which another hand began."""
        objects: list[Reply] = page.get("Contents", [])
        begin = len(self.prefix)
        others = (at for at, item in enumerate(objects) if item["Key"][begin:] in firsts - {self.first})
        end = next(others, None) if firsts else None
        self.is_done = end is not None or not page.get("IsTruncated")
        if not self.is_done:
            self.details = {"ContinuationToken": page["NextContinuationToken"]}
        found = objects[:end]
        if found:
            self.last = found[-1]["Key"][begin:]
        self.pages += 1
        self.is_asking = False
        return found


class _Hands:
    """All hands of one listing, and the requests that are on their way."""

    def __init__(self, list_page: ListPage, prefix: str, hand: _Hand, at_once: int) -> None:
        self._list_page, self._prefix, self._at_once = list_page, prefix, at_once
        self._hands = [hand]  # sorted by their first keys
        self._firsts = set[str]()
        self._running = dict[Future[Reply], _Hand | str]()
        self._alphabet = _Alphabet(hand.last)
        self._guesses_left = GUESSES

    def find(self) -> Iterator[Reply]:
        """Find all objects from the first hand on."""
        with ThreadPoolExecutor(self._at_once) as threads:
            while self._ask(threads):
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    asked = self._running.pop(future)
                    if isinstance(asked, _Hand):
                        yield from asked.take(future.result(), self._firsts)
                        self._alphabet.add(asked.last)
                        self._guesses_left += 2
                    else:
                        self._take_guess(asked, future)

    def _ask(self, threads: ThreadPoolExecutor) -> bool:
        """Ask for the next page of each hand, and guess with what is left; tell whether any request is on its way."""
        for hand in self._hands:
            if not hand.is_done and not hand.is_asking and len(self._running) < self._at_once:
                hand.is_asking = True
                self._submit(threads, hand, **hand.details)
        while len(self._running) < self._at_once and self._guesses_left > 0:
            guess = self._choose_guess()
            if guess is None:
                break
            self._guesses_left -= 1
            self._submit(threads, guess, StartAfter=self._prefix + guess, MaxKeys=1)
        return bool(self._running)

    def _submit(self, threads: ThreadPoolExecutor, asked: _Hand | str, **details: Any) -> None:  # noqa: ANN401 - S3's own
        call: Callable[[], Reply] = partial(self._list_page, **details)
        self._running[threads.submit(copy_context().run, call)] = asked

    def _choose_guess(self) -> str | None:
        """Choose a key in the middle of the widest gap between what is listed, guessed and known to be another's."""
        guesses = [asked for asked in self._running.values() if isinstance(asked, str)]
        gaps = list[tuple[str, str | None]]()
        for hand in self._hands:
            if not hand.is_done and hand.pages >= PAGES_BEFORE_SPLIT:
                within = (guess for guess in guesses if guess > hand.last and (not hand.limit or guess < hand.limit))
                marks = [hand.last, *sorted(within)]
                gaps += zip(marks, [*marks[1:], hand.limit], strict=True)
        return self._alphabet.find_between(gaps)

    def _take_guess(self, guess: str, future: "Future[Reply]") -> None:
        """Begin with another hand at the first key after a guess, unless that is somebody's."""
        try:
            objects = future.result().get("Contents", [])
        except failures():  # not every store can begin after a key; any other trouble a hand will tell
            self._guesses_left = -(1 << 60)
            return
        key = objects[0]["Key"][len(self._prefix) :] if objects else None
        at = bisect_right(self._hands, guess, key=lambda hand: hand.first)
        owner = self._hands[at - 1]
        if key is not None and key <= guess:  # the store begins elsewhere
            self._guesses_left = -(1 << 60)
        elif key is None or key in self._firsts:
            owner.limit = min(guess, owner.limit or guess)
        elif not owner.is_done and key > owner.last:
            self._firsts.add(key)
            details = {"StartAfter": self._prefix + guess}
            self._hands.insert(at, _Hand(key, self._prefix, details, last=key, limit=owner.limit))
            owner.limit, owner.pages = guess, 0
            self._alphabet.add(key)


class _Alphabet:
    """The characters of the keys so far, as the digits of a number: so the middle between two keys is like a key."""

    def __init__(self, key: str) -> None:
        self._letters = sorted(set(key))

    def add(self, key: str) -> None:
        """Learn the characters of a key."""
        if not set(key).issubset(self._letters):
            self._letters = sorted({*self._letters, *key})

    def find_between(self, gaps: list[tuple[str, str | None]]) -> str | None:
        """Return a short text within the widest gap between two keys; None where there is none, or one end is open."""
        sized = [(self._number(high) - self._number(low), low, high) for low, high in gaps]
        width, low, high = max(sized, key=lambda gap: gap[0], default=(0, "", ""))
        text = self._text(self._number(low) + width // 2)
        shortest = next((text[:end] for end in range(1, len(text) + 1) if text[:end] > low), None)
        return shortest if shortest is not None and (high is None or shortest < high) else None

    def _number(self, key: str | None) -> int:
        base, number = len(self._letters) + 1, 0
        digits = [base - 1] if key is None else [bisect_right(self._letters, letter) for letter in key[:GUESS_CHARS]]
        for digit in digits + [digits[0] if key is None else 0] * (GUESS_CHARS - len(digits)):
            number = number * base + digit
        return number

    def _text(self, number: int) -> str:
        base, digits = len(self._letters) + 1, []
        for _ in range(GUESS_CHARS):
            number, digit = divmod(number, base)
            digits.append(self._letters[max(digit, 1) - 1])
        return "".join(reversed(digits))
