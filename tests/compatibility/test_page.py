"""The page on compatibility is what the tests hold the runtime to."""

from tests.compatibility.page import PAGE, with_table


def test_the_page_has_the_differences() -> None:
    text = PAGE.read_text("utf-8")
    assert with_table(text) == text, "write it again: python -m tests.compatibility"
