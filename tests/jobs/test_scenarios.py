"""Every scenario beside a program comes out as its rows say."""

from pathlib import Path

import pytest

from jobs.scenarios import FOLDER, ScenarioError, check_scenario, load_scenario, scenario_files


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_scenario(path: Path) -> None:
    differences = check_scenario(load_scenario(path))
    assert not differences, "\n".join(map(str, differences))


def test_a_wrong_expectation_is_told_with_the_row_that_came_nearest(tmp_path: Path) -> None:
    (tmp_path / "_shared.yaml").write_text((FOLDER / "next-technik" / "_shared.yaml").read_text("utf-8"), "utf-8")
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "name: wrong\nclauses: [NT-7]\nprogram: next-technik\nuses: [partners, claim]\n"
        "steps: [{as_of: 2026-01-10, expect: {claims: [{referral: r1, state: won}, {count: 2}, {absent: {rank: 1}}]}}]\n",
        "utf-8",
    )
    told = [str(difference) for difference in check_scenario(load_scenario(path))]
    assert len(told) == 3
    assert 'state expected "won", found "active"' in told[0]
    assert "expected 2 rows, found 1: r1" in told[1]
    assert 'expected none of {"rank":1}' in told[2]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name: x\nclauses: [NT-1]\nprogram: next-technik\nsteps: [{as_of: 2026-01-10, expect: {claim: []}}]", "claim"),
        ("name: x\nclauses: [NT-1]\nprogram: next-technik\nsteps: [{as_of: soon, expect: {}}]", "steps.0.as_of"),
        ("name: x\nclauses: [NT-1]\nprogram: next-technik\nuses: [nobody]\nsteps: []", "nobody"),
        ("name: [", "cannot be read"),
    ],
)
def test_a_scenario_file_that_cannot_be_used_says_where(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "_shared.yaml").write_text("partners: []\n", "utf-8")
    (tmp_path / "bad.yaml").write_text(text, "utf-8")
    with pytest.raises(ScenarioError, match=named):
        load_scenario(tmp_path / "bad.yaml")
