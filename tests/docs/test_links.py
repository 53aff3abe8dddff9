from pathlib import Path

from docs.links import broken_links


def test_links_to_files_and_anchors_that_are_there_pass(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# The first part\n")
    (tmp_path / "page.html").write_text(
        "<a id='here' href='other.md#the-first-part'></a><a href='#here'></a>"
    )
    (tmp_path / "read.md").write_text("# A\n[a](#a) [b](page.html#here) [c](https://example.org/none)\n")
    assert list(broken_links([tmp_path / "read.md", tmp_path / "page.html"])) == []


def test_links_to_nothing_are_named(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<img src='none.png'><a href='#none'></a>")
    (tmp_path / "read.md").write_text("[a](#a) [b](page.html#there)\n```\n[in code](none)\n```\n")
    found = list(broken_links([tmp_path / "read.md", tmp_path / "page.html"]))
    assert [line.split(": ")[1] for line in found] == ["#a", "page.html#there", "none.png", "#none"]
