"""Which files are nobody's photos by the folder that they are in: hidden ones, and what systems keep for themselves."""

SYSTEM_FOLDERS = frozenset(
    {
        "__macosx", "network trash folder",  # macOS
        "$recycle.bin", "recycler", "system volume information", "found.000",  # Windows
        "@eadir", "#recycle", "#snapshot", "@tmp",  # Synology
        "@recycle", "@recently-snapshot", "@__thumb",  # QNAP
        "~snapshot", "lost+found", "lost.dir",  # NetApp, Linux, Android
    }
)  # fmt: skip
"""Folders in which systems keep second copies and deleted files, in lower case; others begin with a dot."""


def is_hidden(path: str) -> bool:
    """Tell whether a part of a path is hidden, by a dot before its name, or belongs to the system."""
    is_dotted = path.startswith(".") or "/." in path
    return is_in_system_folder(path) or (
        is_dotted and any(part.startswith(".") and part not in {".", ".."} for part in path.split("/"))
    )


def is_in_system_folder(path: str) -> bool:
    """Tell whether a part of a path is a folder of `SYSTEM_FOLDERS`."""
    return not SYSTEM_FOLDERS.isdisjoint(path.lower().split("/"))
