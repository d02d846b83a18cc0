"""The page that ``python -m benchmarks`` writes (``benchmarks.report``)."""

from pathlib import Path

from benchmarks.report import Table, interleaved, page, quantile, spread


def test_calls_take_turns() -> None:
    order: list[str] = []

    def call(name: str, value: float) -> float:
        order.append(name)
        return value

    found = interleaved({"a": lambda: call("a", 1.0), "b": lambda: call("b", 2.0)}, 3)
    assert order == ["a", "b"] * 3
    assert found == {"a": [1.0] * 3, "b": [2.0] * 3}


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(i) for i in range(100, 0, -1)]
    assert quantile(values, 0) == 1
    assert quantile(values, 0.5) == 51
    assert quantile(values, 0.99) == 100
    assert quantile([3.0], 0.99) == 3


def test_a_spread_has_the_median_between_the_extremes() -> None:
    assert spread([3.0, 1.0, 10.0], ".1f") == "3.0 (1.0 to 10.0)"


def test_a_page_has_machine_versions_and_date_and_no_path() -> None:
    table = Table("Speed", ("What", "Value"), ["A long note. " * 20])
    table.add("all", "1")
    text = page([table.markdown()], [0.5, 2.0])
    assert "## Speed" in text
    assert "| What | Value |\n|---|---|\n| all | 1 |" in text
    for said in ("- Date: 2", "- Processor: ", "- Python 3", "numpy ", "0.5 at the beginning, 2.0"):
        assert said in text
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert max(len(line.encode()) for line in lines) <= 100
