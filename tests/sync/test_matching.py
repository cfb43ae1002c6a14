"""The matcher decides on hard evidence only; whatever is merely similar goes to a person."""

import subprocess
import sys
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.matching import RULESET, Company, Index, Match

COINED = st.sampled_from(
    [
        "Vexolar",
        "Brindlemoor",
        "Quastor",
        "Ödemira",
        "Trellwick",
        "Ромашка",
        "Kestrava",
        "Łubinex",
        "Kestrava Nord",
    ]
)
TRADE = st.sampled_from(["", " Systems", " Logistics", " & Daughters", " Group", " 12", " II"])
FORM = st.sampled_from(
    [
        "",
        " Inc.",
        " GmbH",
        " S.p.A.",
        " Pty Ltd",
        " A/S",
        ", LLC",
        " GmbH & Co. KG",
        " s.r.o.",
        " Ltd",
    ]
)
SITE = st.sampled_from(
    [
        None,
        "vexolar.example",
        "brindlemoor.test",
        "quastor.co.uk",
        "a.github.io",
        "gmail.com",
    ]
)
COUNTRY = st.sampled_from([None, "DE", "Germany", "US", "gb"])
TAX = st.sampled_from([None, "DE811907980", "811907980", "GB220430231", "123456789"])
MAIL = st.sampled_from([None, "ann@vexolar.example", "ben@gmail.com", "cy@trellwick.example"])


def companies(name: str = "c") -> st.SearchStrategy[Company]:
    return st.builds(
        lambda word, trade, form, *rest: Company(name, word + trade + form, *rest),
        *(COINED, TRADE, FORM, SITE, COUNTRY, TAX, MAIL),
    )


BOOKS = st.lists(companies(), min_size=1, max_size=8).map(
    lambda found: [
        Company(f"account:{n}", c.name, c.website, c.country, c.tax_id, c.email) for n, c in enumerate(found)
    ]
)


def index_of(*known: Company) -> Index:
    index = Index()
    for company in known:
        index.add(company)
    return index


def ask(known: Company | str, asked: Company | str) -> Match:
    known = Company("known", known) if isinstance(known, str) else known
    return index_of(known).match(Company("asked", asked) if isinstance(asked, str) else asked)


# Properties


@given(companies("a"), companies("b"))
def test_two_companies_are_the_same_whichever_was_known_first(one: Company, other: Company) -> None:
    assert ask(one, other).outcome == ask(other, one).outcome


@given(COINED, TRADE, FORM, FORM)
def test_case_punctuation_and_legal_form_do_not_matter(word: str, trade: str, form: str, other_form: str) -> None:
    plain = word + trade
    shouted = f"  {plain.upper()},{other_form}"
    assert ask(plain + form, shouted).outcome == "same"


@given(
    st.sampled_from(["", "http://", "HTTPS://", "//", "https://user:word@"]),
    st.sampled_from(["", "www.", "WWW.", "shop.de."]),
    st.sampled_from(["", "/", "/a/b.html?c=d#e", ":8443/x", ".", "?q=other.example"]),
)
def test_a_website_is_its_registrable_domain(scheme: str, label: str, path: str) -> None:
    known = Company("known", "Vexolar", "vexolar.example")
    assert (
        ask(
            known,
            Company("asked", "Trellwick", f"{scheme}{label}Vexolar.Example{path}"),
        ).rule
        == "domain"
    )


@given(BOOKS, companies("asked"), st.randoms(use_true_random=False))
def test_the_order_of_adding_is_irrelevant(book: list[Company], asked: Company, shuffle: object) -> None:
    shuffled = list(book)
    shuffle.shuffle(shuffled)  # type: ignore[attr-defined]
    assert index_of(*book).match(asked) == index_of(*shuffled).match(asked)


@given(BOOKS, BOOKS, companies("asked"))
def test_removed_is_as_never_added(book: list[Company], passing: list[Company], asked: Company) -> None:
    index = index_of(
        *[Company(f"x{c.id}", c.name, c.website, c.country, c.tax_id, c.email) for c in passing],
        *book,
    )
    index.match(asked)
    for company in passing:
        index.remove(f"x{company.id}")
    assert len(index) == len(book)
    assert index.match(asked) == index_of(*book).match(asked)


@given(BOOKS, BOOKS, companies("asked"), st.integers(1, 4))
def test_answers_are_the_same_when_little_of_it_fits_into_memory(
    book: list[Company], corrected: list[Company], asked: Company, near: int
) -> None:
    def answers() -> list[object]:
        index = index_of(*book)
        found: list[object] = [index.match(asked)]
        for company in corrected:
            index.add(company, group="account:0")
            found.append(index.match(asked, exclude=("account:1",)))
        index.regroup("account:0", into="account:9")
        index.remove("account:2")
        return [*found, index.match(asked), index.candidates(asked), len(index)]

    with patch("sync.long_maps.NEAR", near), patch("sync.postings.NEAR", 5 * near):
        in_little = answers()
    assert in_little == answers()


@given(BOOKS, companies("asked"))
def test_excluded_is_as_never_added(book: list[Company], asked: Company) -> None:
    assert index_of(*book).match(asked, exclude={"account:0"}) == index_of(*book[1:]).match(asked)


@given(BOOKS, companies("asked"))
def test_answers_are_well_formed(book: list[Company], asked: Company) -> None:
    answer = index_of(*book).match(asked)
    assert answer.ruleset == RULESET
    assert len(answer.hits) == {"same": 1, "none": 0}.get(answer.outcome, len(answer.hits)) <= 5
    assert [(-hit.score, hit.id) for hit in answer.hits] == sorted((-hit.score, hit.id) for hit in answer.hits)
    assert all(0 < hit.score <= 1 and hit.score == round(hit.score, 4) and hit.evidence for hit in answer.hits)
    assert (answer.outcome == "same") == (answer.rule in {"tax_id", "domain", "name"})


LONG = st.text("abcdefghijklmnopqrstuvwxyz", min_size=8, max_size=20)


@given(LONG, st.data())
def test_one_typing_error_never_hides_a_name(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(name) - 1))
    letter = data.draw(st.sampled_from("aeioudrst"))
    exchanged = name[: place - 1] + name[place] + name[place - 1] + name[place + 1 :]
    spoiled = data.draw(
        st.sampled_from(
            [
                name[:place] + name[place + 1 :],
                name[:place] + letter + name[place:],
                exchanged,
            ]
            + [name[:place] + letter + name[place + 1 :]]
        )
    )
    index = index_of(Company("known", f"{name} Industries"))
    assert index.candidates(Company("asked", f"{spoiled} Industries")) == ("known",)


@given(
    st.text(max_size=40),
    st.text(max_size=40),
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=30),
)
def test_nothing_that_people_type_breaks_it(name: str, website: str, country: str, tax_id: str, email: str) -> None:
    company = Company("x", name, website, country, tax_id, email)
    assert index_of(Company("y", name, website, country, tax_id, email)).match(company).outcome in (
        "same",
        "review",
        "none",
    )


def test_answers_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "from sync.matching import Company, Index\n"
        "index = Index()\n"
        "words = ['vexolar', 'quastor', 'trellwick', 'kestrava', 'nord', 'systems', 'logistics']\n"
        "names = [f'{a} {b} {c}' for a in words for b in words for c in words]\n"
        "for name in names: index.add(Company(name, name))\n"
        "print([index.match(Company('asked', name[1:] + 'x')) for name in names[::9]])\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(answers) == 1
    assert "review" in answers.pop()


# Names that look alike and are not one company


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ("Orb", "Blue Orb"),
        ("Orb", "Orbit"),
        ("Company 12", "Company 13"),
        ("Company 12", "Company 123"),
        ("Client A", "Client B"),
        ("Client A", "Client"),
        ("Prospect I Ltd", "Prospect II Ltd"),
        ("Kestrava Fund III", "Kestrava Fund IV"),
        ("Kestrava Fund II", "Kestrava Fund"),
        ("Depot 7a", "Depot 7b"),
        ("Quastor Technologies", "Trellor Technologies"),
        ("Harbor Software", "Silver Software"),
        ("Lithor Technologies", "Lathur Technologies"),
        ("National Bank of Elbonia", "National Bank"),
        ("Digital Solutions", "Digital Systems"),
        ("SAS Brindlemoor", "Brindlemor AS Roma"),
        ("Consulting Group", "Technology Group"),
        ("日立", "日本"),
    ],
)
def test_nobody_is_asked_about_a_series_or_a_common_word(known: str, asked: str) -> None:
    assert ask(known, asked).outcome == "none"
    assert ask(asked, known).outcome == "none"


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ("Vexolar", "Vexolar Deutschland GmbH"),
        ("Vexolar", "Vexolar Robotics"),
        ("Vexolar Networks", "Vexolar India Pvt Ltd"),
        ("Vexolar Group", "Vexolar International"),
        ("Vexolar Stiftung", "Vexolar"),
        ("ABQ Holding", "ABQ"),
        ("Trellwick", "Trelwick"),
        ("Trellwick Gull", "Trellwick Glul"),
        ("Brindlemoor Logistics", "Logistics Brindlemoor"),
        ("Quastor", "quastor.io"),
        ("Linden Akademy", "lindenakademy.com"),
        (
            "Pineford Institute of Nautical Engineering",
            "Pineford Nautical Engineering Institute",
        ),
        ("海星机器人", "海星机器人技术"),
    ],
)
def test_a_person_is_asked_about_relatives_and_misspellings(known: str, asked: str) -> None:
    assert ask(known, asked).outcome == "review"
    assert ask(asked, known).outcome == "review"


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ("Vexolar GmbH & Co. KG", "VEXOLAR"),
        ("Vexolar Holdings Ltd", "Vexolar, Inc"),
        ("Ödemira A/S", "odemira as"),
        ("ООО Ромашка", "Ромашка"),
        ("株式会社海星", "海星"),
        ("海星技术有限公司", "海星技术"),
        ("Brindle & Moor", "Brindle and Moor Ltd"),
        ("O'Trellwick", "OTrellwick"),
        ("O’Trellwick", "O'Trellwick"),
        ("B.R.I. Quastor S.A. de C.V.", "BRI Quastor"),
        ("The Trellwick Company", "Trellwick"),
        ("Tréllwick Sp. z o.o.", "Trellwick sp z oo"),
        ("Digital Solutions Ltd", "Digital Solutions"),
        ("Harbor Works", "HarborWorks"),
        ("Trellwick UG (haftungsbeschränkt)", "Trellwick"),
        ("Trellwick S.Coop.", "Trellwick V.O.F."),
    ],
)
def test_the_same_name_is_the_same_company(known: str, asked: str) -> None:
    assert ask(known, asked).rule == "name"
    assert ask(asked, known).rule == "name"


def test_a_short_name_or_common_words_need_every_word() -> None:
    assert ask("ABQ GmbH", "abq ltd").rule == "name"
    assert ask("ABQ Group", "ABQ").rule == "contradiction"
    assert ask("Software Holdings", "Software").rule == "contradiction"


def test_similar_names_with_two_websites_are_two_companies() -> None:
    known = Company("known", "Trellwick Harbor", "trellwick.example")
    assert ask(known, Company("asked", "Trellwik Marina", "trellwik.example")).outcome == "none"
    assert ask(known, Company("asked", "Trellwick", "twick.example")).outcome == "none"
    assert ask(known, Company("asked", "Trellwick", None)).outcome == "review"
    assert ask(known, Company("asked", "Trellwick Harbour", "trellwick-harbour.example")).rule == "fuzzy"


# Evidence that contradicts itself


def test_same_name_and_other_website_is_for_a_person() -> None:
    known = Company("known", "Trellwick", "trellwick.example")
    answer = ask(known, Company("asked", "Trellwick", "trellwick.test"))
    assert (answer.outcome, answer.rule) == ("review", "contradiction")
    assert "websites differ" in answer.hits[0].evidence


def test_same_name_in_another_country_is_for_a_person() -> None:
    known = Company("known", "Trellwick", None, "Germany")
    for same in ("DE", "deu", "Deutschland", None):
        assert ask(known, Company("asked", "Trellwick", None, same)).rule == "name"
    assert ask(known, Company("asked", "Trellwick", None, "FR")).rule == "contradiction"
    assert ask(known, Company("asked", "Trellwick", None, "Elbonia")).rule == "contradiction"


def test_same_name_of_two_companies_is_for_a_person() -> None:
    index = index_of(Company("a", "Trellwick", None, "DE"), Company("b", "Trellwick Ltd", None, "GB"))
    answer = index.match(Company("asked", "Trellwick", None, "DE"))
    assert (answer.outcome, [hit.id for hit in answer.hits]) == ("review", ["a", "b"])


def test_same_website_wins_over_another_name_or_another_country_but_not_over_both() -> None:
    known = Company("known", "Trellwick", "trellwick.example", "DE")
    assert ask(known, Company("asked", "Quastor", "trellwick.example", "DE")).rule == "domain"
    assert ask(known, Company("asked", "Trellwick SA", "trellwick.example", "FR")).rule == "domain"
    assert ask(known, Company("asked", "Quastor", "trellwick.example", "FR")).rule == "contradiction"


def test_same_website_of_two_companies_is_for_a_person() -> None:
    index = index_of(
        Company("a", "Trellwick", "t.example"),
        Company("b", "Trellwick Marine", "t.example"),
    )
    answer = index.match(Company("asked", "Trellwick", "t.example"))
    assert (answer.outcome, [hit.id for hit in answer.hits]) == ("review", ["a", "b"])


def test_a_tax_number_beats_name_and_website() -> None:
    known = Company("known", "Trellwick", "trellwick.example", "DE", "DE 811.907.980")
    assert ask(known, Company("asked", "Quastor", "quastor.example", "FR", "de811907980")).rule == "tax_id"
    assert ask(known, Company("asked", "Quastor", None, "DE", "811907980")).rule == "tax_id"
    assert ask(known, Company("asked", "Quastor", None, "AT", "811907980")).rule == "contradiction"


def test_tax_number_and_website_of_two_companies_are_for_a_person() -> None:
    index = index_of(
        Company("a", "Trellwick", None, None, "DE811907980"),
        Company("b", "Quastor", "quastor.example"),
    )
    answer = index.match(Company("asked", "Quastor", "quastor.example", None, "DE811907980"))
    assert (answer.outcome, [hit.id for hit in answer.hits]) == ("review", ["a", "b"])


@pytest.mark.parametrize("number", ["n/a", "-", "0000000", "12", "none"])
def test_what_is_no_tax_number_ties_nothing(number: str) -> None:
    known = Company("known", "Trellwick", None, None, number)
    assert ask(known, Company("asked", "Quastor", None, None, number)).outcome == "none"


def test_a_made_up_tax_number_needs_support() -> None:
    known = Company("known", "Trellwick", None, "US", "123456789")
    assert ask(known, Company("asked", "Quastor", None, "US", "123456789")).rule == "contradiction"
    assert ask(known, Company("asked", "Trellwick", None, "US", "123456789")).rule == "tax_id"


def test_different_tax_numbers_of_one_kind_speak_against_a_name() -> None:
    known = Company("known", "Trellwick", None, "DE", "DE811907980")
    other = "DE136695976"
    assert ask(known, Company("asked", "Trellwick", None, "DE", other)).rule == "contradiction"
    assert ask(known, Company("asked", "Trelwick", None, "DE", other)).outcome == "none"
    assert ask(known, Company("asked", "Trellwick", None, "DE", "HRB 4711")).rule == "name"


# Websites that are nobody's, and e-mail


@pytest.mark.parametrize(
    "website",
    [
        *(
            "gmail.com",
            "https://www.yahoo.co.uk/",
            "outlook.de",
            "facebook.com/vexolar",
            "https://linkedin.com/company/x",
        ),
        *(
            "github.io",
            "co.uk",
            "localhost:8000",
            "printer.local",
            "vexolar",
            "",
            "http://",
            "not a website",
        ),
        *(
            "192.168.0.1",
            "http://3232235777/",
            "0xC0.0xA8.0.1",
            "0300.0250.0.1",
            "127.1",
            "[2001:db8::1]:80",
        ),
        *("2001:db8::1", "１９２.168.0.1", "http://user@10.0.0.7/x"),
    ],
)
def test_a_shared_or_numeric_host_ties_nothing(website: str) -> None:
    known = Company("known", "Trellwick", website)
    assert ask(known, Company("asked", "Quastor", website)).outcome == "none"
    assert ask(known, Company("asked", "Trellwick", website)).rule == "name"


def test_tenants_of_a_shared_host_are_told_apart() -> None:
    known = Company("known", "Trellwick", "trellwick.github.io")
    assert ask(known, Company("asked", "Quastor", "quastor.github.io")).outcome == "none"
    assert ask(known, Company("asked", "Quastor", "https://www.trellwick.github.io/")).rule == "domain"


@pytest.mark.parametrize(
    "written",
    [
        "bücher-quastor.example",
        "BÜCHER-quastor.example",
        "xn--bcher-quastor-wob.example",
    ],
)
def test_an_international_domain_is_its_ascii_form(written: str) -> None:
    known = Company("known", "Trellwick", "https://bücher-quastor.example/")
    assert ask(known, Company("asked", "Quastor", written)).rule == "domain"


def test_an_invented_top_level_domain_is_one() -> None:
    known = Company("known", "Trellwick", "a.terra.example")
    assert ask(known, Company("asked", "Quastor", "b.terra.example")).rule == "domain"


def test_an_email_domain_asks_and_never_decides() -> None:
    known = Company("known", "Trellwick", "trellwick.example")
    answer = ask(known, Company("asked", "Quastor", email="Ann <ann@trellwick.example>"))
    assert (answer.outcome, answer.rule) == ("review", "email_domain")
    assert (
        ask(
            Company("known", "Quastor", email="a@t.example"),
            Company("asked", "Trellwick", "t.example"),
        ).outcome
        == "review"
    )
    assert (
        ask(
            Company("k", "Quastor", email="a@t.example"),
            Company("asked", "Trell", email="b@t.example"),
        ).outcome
        == "none"
    )
    assert (
        ask(
            Company("k", "Quastor", "gmail.com"),
            Company("asked", "Trell", email="b@gmail.com"),
        ).outcome
        == "none"
    )


def test_an_email_domain_says_nothing_against_two_websites_and_two_names() -> None:
    known = Company("known", "Trellwick", "trellwick.example")
    mail = "ann@trellwick.example"
    assert ask(known, Company("asked", "Quastor", "quastor.example", email=mail)).outcome == "none"
    assert ask(Company("k", "Quastor", "quastor.example", email=mail), known).outcome == "none"
    alike = ask(known, Company("asked", "Trellwick Verband", "quastor.example", email=mail))
    assert alike.outcome == "review"


# Groups


def test_spellings_of_a_group_count_as_one_company() -> None:
    index = Index()
    index.add(Company("r1", "Trellwick", "trellwick.example"), group="prospect")
    index.add(Company("r2", "Trellwick Ltd", "trellwick.test"), group="prospect")
    assert index.match(Company("asked", "Trellwick")).hits[0].id == "prospect"
    assert index.match(Company("asked", "Trellwick", "trellwick.test")).outcome == "same"
    index.remove("r2")
    assert index.match(Company("asked", "Trellwick", "trellwick.test")).rule == "contradiction"


def test_groups_that_turn_out_to_be_one_stop_contradicting_each_other() -> None:
    index = Index()
    index.add(Company("r1", "Trellwick", "t.example"))
    index.add(Company("account:1", "Trellwick Marine", "t.example"))
    asked = Company("asked", "Trellwick", "t.example")
    assert index.match(asked).outcome == "review"
    index.regroup("r1", into="account:1")
    assert (index.match(asked).outcome, index.match(asked).hits[0].id) == (
        "same",
        "account:1",
    )
    index.remove("account:1")
    assert index.match(asked).hits[0].id == "account:1"


def test_a_corrected_spelling_replaces_the_earlier() -> None:
    index = index_of(Company("r1", "Trelwick"))
    index.add(Company("r1", "Quastor"))
    assert len(index) == 1
    assert index.match(Company("asked", "Trelwick")).outcome == "none"
    assert index.match(Company("asked", "Quastor")).outcome == "same"
    assert index.match(Company("r1", "Quastor"), exclude=["r1"]).outcome == "none"
