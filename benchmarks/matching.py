"""Measure the matcher: on labelled names (is it right?) and on invented ones (is it fast, does a typo hide a name?).

    python benchmarks/matching.py --data company_aliases.jsonl
    python benchmarks/matching.py --scale 10000 100000 1000000

The labelled file holds one company a line: {"company_name": …, "aliases": [names people typed], "domains": […]}.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from connectors.universe import companies
from sync.matching import RULESET, Company, Index, Match, keys_of

DATA = Path("company_aliases.jsonl")


class Labelled(NamedTuple):
    """A company of the labelled file."""

    name: str
    aliases: tuple[str, ...]
    domain: str | None


@dataclass
class Tally:
    """What happened to claims, some of which belong to a known company."""

    same_right: int = 0
    same_wrong: int = 0
    should: int = 0
    should_not: int = 0
    shown: int = 0
    reviews_right: int = 0
    needless: int = 0
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def count(self, claim: Company, answer: Match, truth: str | None) -> None:
        """Count one claim; ``truth`` is the id it belongs to, None when it is a stranger."""
        ids = [hit.id for hit in answer.hits]
        self.should += truth is not None
        self.should_not += truth is None
        if answer.outcome == "same":
            self.same_right += ids == [truth]
            self.same_wrong += ids != [truth]
            if ids != [truth]:
                self.wrong.append(f"{claim.name} -> {ids[0]} (is {truth})")
        elif answer.outcome == "review":
            self.shown += truth in ids
            self.reviews_right += truth in ids
            self.needless += truth is None
            if truth is None:
                self.asked.append(f"{claim.name}: {answer.hits[0].evidence}")
        if truth is not None and truth not in ids:
            self.missed.append(f"{claim.name} (is {truth})")


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """95 % confidence interval of a proportion. Source: Wilson (1927)."""
    if not total:
        return 0.0, 1.0
    share, zz = right / total, z * z
    middle = share + zz / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + zz / (4 * total * total))
    return (middle - spread) / (1 + zz / total), (middle + spread) / (1 + zz / total)


def labelled(path: Path) -> list[Labelled]:
    """The file's companies; an alias equal to the name as typed is dropped."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        name = row["company_name"]
        aliases = tuple(sorted({alias for alias in row.get("aliases", []) if alias != name}))
        found.append(Labelled(name, aliases, next(iter(row.get("domains", [])), None)))
    return found


def judge(labels: list[Labelled], *, with_websites: bool) -> Tally:
    """Two rounds: each half of the companies is known once, the other half are then strangers.

    Names of the known and of strangers are asked without a website, or strangers with theirs. Strangers that share an
    exact core name with a known company are left out: the labels do not tell them apart.
    """
    tally = Tally()
    for known_half in (0, 1):
        known = [company for company in labels if zlib.crc32(company.name.encode()) % 2 == known_half]
        strangers = [company for company in labels if zlib.crc32(company.name.encode()) % 2 != known_half]
        index, taken = Index(), set()
        for company in known:
            index.add(Company(company.name, company.name, company.domain))
            for spelling in (company.name, *company.aliases):
                taken.add(keys_of(Company("", spelling)).squash)
        for company in known:
            for alias in company.aliases:
                claim = Company("claim", alias)
                tally.count(claim, index.match(claim), company.name)
        for company in strangers:
            for spelling in (company.name, *company.aliases):
                claim = Company("claim", spelling, company.domain if with_websites else None)
                if keys_of(claim).squash not in taken:
                    tally.count(claim, index.match(claim), None)
    return tally


def report_labelled(path: Path, *, verbose: bool) -> None:
    """Print precision and recall on the labelled file."""
    labels = labelled(path)
    print(f"Labelled names: {len(labels)} companies of {path.name}, rules {RULESET}")
    for with_websites in (False, True):
        tally = judge(labels, with_websites=with_websites)
        same = tally.same_right + tally.same_wrong
        low, high = wilson(tally.same_right, same)
        print(f"  strangers {'with' if with_websites else 'without'} their website:")
        print(f"    claims           {tally.should} that should match, {tally.should_not} that should not")
        print(
            f"    automatic        {tally.same_right}/{same} right = {tally.same_right / max(same, 1):.3f}",
            end=" ",
        )
        print(f"(95 % Wilson {low:.3f} to {high:.3f}), recall {tally.same_right / tally.should:.3f}")
        print(f"    or shown         recall {(tally.same_right + tally.shown) / tally.should:.3f}")
        print(f"    needless reviews {tally.needless} = {tally.needless / tally.should_not:.3f} of the strangers")
        if verbose:
            for title, lines in (
                ("wrong", tally.wrong),
                ("missed", tally.missed),
                ("needless", tally.asked),
            ):
                print(f"    {title}:", *sorted(set(lines)), sep="\n      ")


def invented(number: int, start: int = 0) -> Iterator[Company]:
    """Companies of the invented world, from ``start`` on, as a CRM holds them: legal name, website, country."""
    for company in companies(seed=1, count=number, start=start):
        yield Company(f"account:{company.index:07}", company.legal_name, company.website, company.country)


def with_typo(name: str, chance: random.Random) -> str:
    """One letter lost, added, changed, or exchanged with its neighbour, anywhere in the name."""
    letters = [place for place, letter in enumerate(name) if letter.isalpha()]
    place = chance.choice(letters)
    kind = chance.choice(("lose", "add", "change", "exchange"))
    other = chance.choice("abcdefghijklmnopqrstuvwxyz")
    if kind == "lose":
        return name[:place] + name[place + 1 :]
    if kind == "add":
        return name[:place] + other + name[place:]
    if kind == "change":
        return name[:place] + other + name[place + 1 :]
    return name[:place] + name[place : place + 2][::-1] + name[place + 2 :]


def report_scale(sizes: list[int], claims: int) -> None:
    """Print build time, lookup time, recall of names with one typo, and memory, for each size (ascending)."""
    print("\nInvented companies; asked by name and country: known ones with one typing error, and strangers.")
    print("Processor time, so that other work on the machine does not count.")
    print("  companies  build s  us/name  mean ms  p99 ms  claims/s  seen   found  wrong  stranger ms  asked  RSS MB")
    for size in sorted(sizes):
        index, sample, chance = Index(), [], random.Random(7)
        every = max(1, size // claims)
        spent = 0.0
        for number, company in enumerate(invented(size)):
            before = time.process_time()
            index.add(company)
            spent += time.process_time() - before
            if number % every == 0:
                sample.append(company)
        before = time.process_time()
        index.match(Company("warm", "Warm up the index"))
        spent += time.process_time() - before
        asked = [Company("claim", with_typo(company.name, chance), None, company.country) for company in sample]
        times, answers = _timed(index.match, asked)
        seen = sum(truth.id in index.candidates(claim) for truth, claim in zip(sample, asked, strict=True))
        found = sum(truth.id in [hit.id for hit in a.hits] for truth, a in zip(sample, answers, strict=True))
        wrong = sum(a.outcome == "same" and a.hits[0].id != truth.id for truth, a in zip(sample, answers, strict=True))
        strangers = [
            Company("claim", company.name, None, company.country) for company in invented(len(sample), start=size)
        ]
        stranger_times, stranger_answers = _timed(index.match, strangers)
        asked_needlessly = sum(answer.outcome == "review" for answer in stranger_answers)
        mean = sum(times) / len(times)
        print(
            f"  {size:>9,}  {spent:7.1f}  {spent / size * 1e6:7.1f}  {mean * 1e3:7.2f}  "
            f"{sorted(times)[int(len(times) * 0.99)] * 1e3:6.2f}  {1 / mean:8.0f}  {seen / len(sample):.3f}  "
            f"{found / len(sample):.3f}  {wrong:5}  {sum(stranger_times) / len(stranger_times) * 1e3:11.2f}  "
            f"{asked_needlessly / len(strangers):.3f}  {_rss_mb():6.0f}",
            flush=True,
        )


def _timed(ask: Callable[[Company], Match], claims: list[Company]) -> tuple[list[float], list[Match]]:
    times, answers = [], []
    for claim in claims:
        before = time.process_time()
        answers.append(ask(claim))
        times.append(time.process_time() - before)
    return times, answers


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Run what was asked for; say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="labelled names, JSON lines")
    parser.add_argument(
        "--scale",
        type=int,
        nargs="*",
        default=[10_000, 100_000, 1_000_000],
        help="index sizes",
    )
    parser.add_argument("--claims", type=int, default=2000, help="claims asked at each size")
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="list what was wrong, missed or asked needlessly",
    )
    options = parser.parse_args()
    if options.data.exists():
        report_labelled(options.data, verbose=options.verbose)
    else:
        print(f"Labelled names: not measured, there is no file {options.data}; give one with --data.")
    if options.scale:
        report_scale(options.scale, options.claims)
    return 0


if __name__ == "__main__":
    sys.exit(main())
