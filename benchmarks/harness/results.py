"""Where figures and the models that were made for them are kept, out of the repository."""

from pathlib import Path


def kept_out(folder: Path) -> Path:
    """The folder, made if need be, with a note in it that git is to ignore what it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder
