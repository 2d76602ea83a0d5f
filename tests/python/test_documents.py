"""Links in the documents lead somewhere, with their anchors."""

import re

from conftest import ROOT

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def documents():
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in ("target", ".git", ".venv")]
    return [*ROOT.glob("*.md"), *(page for folder in folders for page in sorted(folder.rglob("*.md")))]


def anchors(page):
    """As hosts of repositories make them of headings."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    count = 0
    for page in documents():
        for link in LINK.findall(FENCED.sub("", page.read_text())):
            if link.startswith("https://"):
                continue
            count += 1
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists() and (not anchor or anchor in anchors(target)), f"{page.relative_to(ROOT)}: {link}"
    assert count > 50
