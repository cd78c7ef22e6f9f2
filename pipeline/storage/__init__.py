"""Files and byte ranges on local disk, S3 and every other store that fsspec knows.

It imports `core`. The verbs below are its interface: `from pipeline import storage`. Start with `files`.

* `files`: the verbs, which take URLs and raise `StorageError`
* `file_lists`: the files below a folder, sorted, in little memory
* `byte_ranges`: readers of bytes by range: a stored file, a window of one, bytes in memory
* `backends`: which store a URL leads to
* `local`: local disk
* `file_kinds`: what a file is, by its first bytes
* `hidden`: which files are hidden or a system's own, by their folders
* `s3`: S3, each verb made of single requests
* `s3_requests`: single requests to S3, with checks of the answers
* `s3_pages`: the pages of a listing, parsed quickly
* `s3_listing`: a long listing by many hands
* `fsspec_backend`: every other filesystem of fsspec
* `remote_file`: a remote file that reads ahead
* `quick_reads`: many small readings of one remote file, each with little work
* `parallel`: calls in parallel
* `temporary`: folders for temporary files
* `retry`: the one retry policy
* `errors`: failures of stores in words, and which of them are transient
* `probe`: tries whether a place can be read and written
* `idle_probe`: asks a place when nothing comes from the workers
"""

from pipeline.storage.file_lists import FileList
from pipeline.storage.files import (
    FILES_AT_ONCE,
    LOCAL,
    READ_BYTES,
    StoredFile,
    canonical,
    create,
    exists,
    filesystem_of,
    find_files,
    glob,
    is_concurrent,
    is_folder,
    is_folder_link,
    is_protected,
    join,
    list_files,
    local_path,
    name,
    open_file,
    open_quick_reads,
    open_text,
    parent,
    path_of,
    read_bytes,
    read_many,
    read_ranges,
    remove,
    remove_leftovers,
    resolve_link,
    stat,
    upload,
    write_whole,
)
from pipeline.storage.hidden import is_hidden, is_in_system_folder
from pipeline.storage.temporary import temporary_folder

__all__ = [
    "FILES_AT_ONCE",
    "LOCAL",
    "READ_BYTES",
    "FileList",
    "StoredFile",
    "canonical",
    "create",
    "exists",
    "filesystem_of",
    "find_files",
    "glob",
    "is_concurrent",
    "is_folder",
    "is_folder_link",
    "is_hidden",
    "is_in_system_folder",
    "is_protected",
    "join",
    "list_files",
    "local_path",
    "name",
    "open_file",
    "open_quick_reads",
    "open_text",
    "parent",
    "path_of",
    "read_bytes",
    "read_many",
    "read_ranges",
    "remove",
    "remove_leftovers",
    "resolve_link",
    "stat",
    "temporary_folder",
    "upload",
    "write_whole",
]
