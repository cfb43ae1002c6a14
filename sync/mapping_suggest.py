"""Suggests a mapping from what a system says of itself: for each record the object, for each field the source, and why.

A suggestion is a file that loads, with its doubts in comments: what is less than likely stands commented out, and a
record for which a required field was not found is left out with the reason. Nothing is guessed silently.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from rapidfuzz import fuzz

from connectors.base import Description, Field
from rules import records
from sync.mapping_check import UNFIT
from sync.mapping_words import FIELD_WORDS, RECORD_WORDS
from sync.record_shapes import Shape, record_types, shapes_of

LIKELY = 0.75
"""From this confidence on a line stands in the file as it is; below, as a comment."""
POSSIBLE = 0.5
"""Below this, a field is no candidate at all."""
_LESS = 0.03
"""What each further word for a thing is worth less than the plainest one."""
_SHARED = 0.2
"""What a target loses when another one is more like its field."""
_FITS: Mapping[str, frozenset[str]] = {
    "money": frozenset({"money", "decimal"}),
    "decimal": frozenset({"decimal", "money"}),
    "date": frozenset({"date"}),
    "instant": frozenset({"datetime"}),
    "integer": frozenset({"integer"}),
    "boolean": frozenset({"boolean"}),
    "choice": frozenset({"picklist"}),
    "currency": frozenset({"picklist"}),
}
"""Types of the system that are just what a field needs; others that may do cost some confidence."""
_TOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class FieldSuggestion:
    """A source for one field of a record: ``target`` (dotted inside an object or list), from 0 to 1, and why."""

    target: str
    source: str | None
    confidence: float
    reason: str
    required: bool
    values: tuple[tuple[str, str], ...] = ()
    """The system's words and ours, for a field that takes certain words only."""

    @property
    def likely(self) -> bool:
        """Whether it may stand in the file as it is."""
        return self.source is not None and self.confidence >= LIKELY


@dataclass(frozen=True, slots=True)
class RecordSuggestion:
    """A record that an object seems to give. ``missing``: required fields without a likely source."""

    object: str
    record: str
    confidence: float
    reason: str
    fields: tuple[FieldSuggestion, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Required fields without a likely source."""
        return tuple(one.target for one in self.fields if one.required and not one.likely)


def likely_objects(kinds: Iterable[str], wanted: Iterable[str] = ()) -> dict[str, tuple[str, float]]:
    """For each record type the object whose name fits best, with the confidence; only those that are possible.

    ``wanted``: record types to look for; all unless given.
    """
    names = list(kinds)
    found = {}
    for record in wanted or record_types():
        scored = [(_named(name, RECORD_WORDS.get(record, (record,)))[0], -len(name), name) for name in names]
        if scored and max(scored)[0] >= LIKELY:
            confidence, _, name = max(scored)
            found[record] = (name, confidence)
    return found


def suggest(descriptions: Sequence[Description], chosen: Mapping[str, str] | None = None) -> list[RecordSuggestion]:
    """What these objects seem to give. ``chosen``: object → record type, where a person has said so."""
    known = {one.kind: one for one in descriptions}
    objects = {record: pair for record, pair in likely_objects(known).items() if pair[0] not in (chosen or {})}
    for kind, record in (chosen or {}).items():
        objects[record] = (kind, 1.0)
    gives: dict[str, set[str]] = {}
    for record, (kind, _) in objects.items():
        gives.setdefault(kind, set()).add(record)
    found = []
    for record, (kind, confidence) in objects.items():
        reason = "named by you" if (chosen or {}).get(kind) == record else f"the object {kind!r} is named like one"
        fields = _told_apart(list(_fields_of(record, _plainly_named(known[kind]), gives)))
        found.append(RecordSuggestion(kind, record, round(confidence, 2), reason, fields))
    return sorted(found, key=lambda one: (one.object, one.record))


def _plainly_named(seen: Description) -> Description:
    """The object with labels freed of a word that begins several names and means nothing to us (a vendor's prefix)."""
    first = Counter(name.partition("_")[0] for name in seen.fields if "_" in name)
    noise = {token for token, count in first.items() if count > 1 and token.lower() not in _vocabulary()}
    fields = {}
    for name, field in seen.fields.items():
        prefix, _, rest = name.partition("_")
        fields[name] = replace(field, label=rest if prefix in noise and field.label == name else field.label)
    return replace(seen, fields=fields)


@cache
def _vocabulary() -> frozenset[str]:
    words = [word for table in (FIELD_WORDS, RECORD_WORDS) for name, some in table.items() for word in (name, *some)]
    return frozenset(token for word in words for token in _tokens(word.replace("_", " ")))


def _told_apart(found: list[FieldSuggestion]) -> tuple[FieldSuggestion, ...]:
    """Where two targets want one field, the one that it is less like loses some confidence."""
    best: dict[str, FieldSuggestion] = {}
    for one in found:
        if one.source is not None and (one.source not in best or one.confidence > best[one.source].confidence):
            best[one.source] = one
    told = []
    for one in found:
        first = best.get(one.source or "", one)
        if first.confidence > one.confidence:
            reason = f"{one.reason}; more like {first.target}"
            one = replace(one, confidence=round(max(one.confidence - _SHARED, 0.0), 2), reason=reason)
        if one.required or one.confidence >= POSSIBLE:
            told.append(one)
    return tuple(told)


def _fields_of(record: str, seen: Description, gives: Mapping[str, set[str]]) -> Iterator[FieldSuggestion]:
    references = dict(records.RECORDS[record].references)
    for target, shape in shapes_of(record).items():
        if shape.kind == "list" and shape.item is not None and shape.item.kind == "object":
            yield from _list_of(target, shape, seen)
        elif shape.kind == "object":
            for name, member in shape.names.items():
                yield from _best(f"{target}.{name}", member, _members_words(target, name), seen, None, gives, False)
        else:
            words = (target.replace("_", " "), *FIELD_WORDS.get(target, ()))
            yield from _best(target, shape, words, seen, references.get(target), gives, shape.required)


def _members_words(target: str, name: str) -> tuple[str, ...]:
    own = FIELD_WORDS.get(name, (name.replace("_", " "),))
    return tuple(f"{target.replace('_', ' ')} {word}" for word in own) + own


def _list_of(target: str, shape: Shape, seen: Description) -> Iterator[FieldSuggestion]:
    """The members of a list, from the fields of one list of the object (``lines.amount``)."""
    assert shape.item is not None
    lists = sorted({name.partition(".")[0] for name in seen.fields if "." in name})
    scored = [(_named(name, FIELD_WORDS.get(target, (target,)))[0], name) for name in lists]
    if not scored or max(scored)[0] < POSSIBLE:
        if shape.required:
            yield FieldSuggestion(target, None, 0.0, "no list of the object is named like it", True)
        return
    name = max(scored)[1]
    inner = {
        (rest := field.partition(".")[2]): replace(found, name=rest)
        for field, found in seen.fields.items()
        if field.startswith(name + ".")
    }
    inside = Description(seen.kind, seen.label, inner)
    for member, one in shape.item.names.items():
        words = (member.replace("_", " "), *FIELD_WORDS.get(member, ()))
        for found in _best(f"{target}.{member}", one, words, inside, None, {}, one.required and shape.required):
            source = None if found.source is None else f"{name}.{found.source}"
            yield FieldSuggestion(found.target, source, found.confidence, found.reason, found.required, found.values)


def _best(
    target: str, shape: Shape, words: Sequence[str], seen: Description, refers_to: str | None,
    gives: Mapping[str, set[str]], required: bool,
) -> Iterator[FieldSuggestion]:  # fmt: skip
    """The likeliest field; nothing when there is no candidate and none is needed."""
    best: FieldSuggestion | None = None
    for field in seen.fields.values():
        if not field.readable or field.type in UNFIT.get(shape.kind, ()) or "." in field.name:
            continue
        if (refers_to is not None) != (field.type == "reference") and not (
            refers_to and field.type in ("string", "id")
        ):
            continue
        confidence, reason = _confidence(shape, words, field, seen, refers_to, gives)
        if confidence >= POSSIBLE and (best is None or confidence > best.confidence):
            values = _translated(shape, field)
            best = FieldSuggestion(target, field.name, round(confidence, 2), reason, required, values)
    if best is not None:
        yield best
    elif required:
        yield FieldSuggestion(
            target, None, 0.0, "no field of the object is named like it and of a type that fits", True
        )


def _confidence(
    shape: Shape, words: Sequence[str], field: Field, seen: Description, refers_to: str | None,
    gives: Mapping[str, set[str]],
) -> tuple[float, str]:  # fmt: skip
    by_label, label_word = _named(field.label, words, seen.kind)
    by_name, name_word = _named(field.name, words, seen.kind)
    confidence, what = max((by_label, f"label {field.label!r} ~ {label_word!r}"), (by_name, f"name ~ {name_word!r}"))
    reasons = [what]
    if refers_to is not None and field.type == "reference":
        fits = [one for one in field.references if refers_to in gives.get(one, ())]
        if fits:
            confidence, reasons = confidence + 0.1, [*reasons, f"refers to {fits[0]}, which gives {refers_to} records"]
    if refers_to is not None and field.type != "reference":
        confidence -= 0.05
    wanted = _FITS.get(shape.kind)
    if wanted is not None and field.type not in wanted:
        confidence, reasons = confidence - 0.1, [*reasons, f"{field.type} where {shape.kind} is needed"]
    elif wanted is not None:
        reasons.append(f"type {field.type}")
    if shape.kind == "choice" and not _translated(shape, field) and field.values:
        confidence, reasons = confidence - 0.2, [*reasons, "none of its values is like ours"]
    return min(max(confidence, 0.0), 1.0), "; ".join(reasons)


def _translated(shape: Shape, field: Field) -> tuple[tuple[str, str], ...]:
    """The system's words whose like we have, for a field that takes certain words only."""
    if shape.kind != "choice" or not field.values:
        return ()
    ours = {" ".join(_tokens(str(value))): str(value) for value in shape.values}
    pairs = []
    for value in field.values:
        scored = max(((fuzz.ratio(" ".join(_tokens(value)), name), name) for name in ours), default=(0, ""))
        if scored[0] >= 85:
            pairs.append((value, ours[scored[1]]))
    return tuple(pairs)


def _named(name: str, words: Sequence[str], around: str = "") -> tuple[float, str]:
    """How much a name is like one of these words (first words count a little more), and which."""
    best = (0.0, "")
    own = _tokens(name)
    context = frozenset(_tokens(around))
    for place, word in enumerate(words):
        wanted = _tokens(word)
        score = max(_alike(own, wanted), _alike(tuple(one for one in own if one not in context) or own, wanted))
        best = max(best, (score - _LESS * min(place, 5), word))
    return best


def _alike(own: tuple[str, ...], wanted: tuple[str, ...]) -> float:
    """Dice's coefficient of two sets of tokens, where tokens that differ by a letter or two are the same."""
    if not own or not wanted:
        return 0.0
    common = sum(any(a == b or len(a) > 4 and fuzz.ratio(a, b) >= 94 for b in wanted) for a in own)
    return min(2 * common / (len(own) + len(wanted)), 1.0)


def _singular(word: str) -> str:
    """``companies`` is ``company``; what is no plural loses its ``s`` on both sides of a comparison alike."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


@lru_cache(maxsize=20_000)
def _tokens(name: str) -> tuple[str, ...]:
    """The words of a name (``BillingCountryCode``, ``tax_id__c``) in small letters; single letters and ``id`` at the end say nothing."""
    found = [_singular(token.lower()) for token in _TOKEN.findall(name) if len(token) > 1]
    if len(found) > 1 and found[-1] == "id" and found[-2] not in ("tax",):
        found.pop()
    return tuple(found)


def as_yaml(system: str, suggestions: Sequence[RecordSuggestion]) -> str:
    """The suggestions as a mapping file that loads: doubts and reasons are comments."""
    lines = [
        "# Suggested from what the system says of itself. Read every line: names that are alike need not mean the same.",
        f"# A number is the confidence from 0 to 1; below {LIKELY} a line is commented out. Then: `referee check`.",
        f"system: {system}",
        "",
    ]
    whole = [one for one in suggestions if not one.missing]
    lines.append("objects:" if whole else "objects: []")
    for kind in dict.fromkeys(one.object for one in whole):
        lines += ["", f"  - object: {_quoted(kind)}", "    records:"]
        for one in whole:
            if one.object == kind:
                lines += _record_lines(one, "      ")
    for one in suggestions:
        if one.missing:
            lines += ["", f"  # {one.record} from {_comment(one.object)} is not complete: no likely source for {', '.join(one.missing)}",
                      f"  # - object: {_quoted(one.object)}", "  #   records:"]  # fmt: skip
            lines += ["  # " + line[4:] for line in _record_lines(one, "        ")]
    return "\n".join(lines) + "\n"


def _record_lines(one: RecordSuggestion, indent: str) -> list[str]:
    lines = [f"{indent}- record: {one.record}  # {one.confidence:.2f}: {_comment(one.reason)}", f"{indent}  fields:"]
    groups: dict[str, list[FieldSuggestion]] = {}
    for field in one.fields:
        groups.setdefault(field.target.partition(".")[0], []).append(field)
    for target, fields in groups.items():
        inner = indent + "    "
        if fields[0].target == target:
            lines.append(_field_line(fields[0], target, inner))
            continue
        of_list = next((field.source for field in fields if field.source and "." in field.source), None)
        off = "" if any(field.likely for field in fields) else "# "
        lines.append(f"{inner}{off}{target}:")
        if of_list is not None:
            name = of_list.partition(".")[0]
            lines += [f"{inner}{off}  list: {_quoted(name)}", f"{inner}{off}  as: line", f"{inner}{off}  fields:"]
        deeper = inner + off + ("    " if of_list is not None else "  ")
        for field in fields:
            source = field.source and field.source.partition(".")[2] if of_list else field.source
            named = f"line.{source}" if of_list and source else source
            lines.append(_field_line(field, field.target.partition(".")[2], deeper, named))
    return lines


def _field_line(field: FieldSuggestion, target: str, indent: str, source: str | None = None) -> str:
    source = source or field.source
    value = "?" if source is None else _quoted(source)
    if field.values:
        table = ", ".join(f"{_quoted(word)}: {_quoted(ours)}" for word, ours in field.values)
        value = f"{{field: {value}, values: {{{table}}}}}"
    off = "" if field.likely or indent.rstrip().endswith("#") else "# "
    return f"{indent}{off}{target}: {value}  # {field.confidence:.2f}: {_comment(field.reason)}"


def _comment(text: str) -> str:
    return text if text.isprintable() else ascii(text)


def _quoted(text: Any) -> str:
    """A text as YAML takes it for a text, on one line."""
    plain = str(text)
    safe = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.\-]*(?: [A-Za-z0-9_.\-]+)*", plain)
    if safe and plain.lower() not in ("true", "false", "null", "yes", "no", "on", "off"):
        return plain
    return '"' + "".join(one if one.isprintable() and one not in '"\\' else f"\\U{ord(one):08X}" for one in plain) + '"'
