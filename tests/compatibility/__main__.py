"""`python -m tests.compatibility` writes the differences into `docs/compatibility.md`."""

from tests.compatibility.page import PAGE, with_table

if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
