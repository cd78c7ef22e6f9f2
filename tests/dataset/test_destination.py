"""Where what is made of a dataset may go."""

import pytest

from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout, check_outside

LAYOUT = Layout("s3://results/tonight")


@pytest.mark.parametrize(
    "url", ["s3://results/tonight-report", "s3://results", "file:///tonight/s3", "s3://results/tonigh"]
)
def test_beside_a_dataset_anything_goes(url: str) -> None:
    """A name that only begins alike is another place."""
    assert not is_refused(url)


def is_refused(url: str) -> bool:
    """Tell whether nothing may be written there."""
    try:
        check_outside(LAYOUT, url)
    except UsageError:
        return True
    return False


@pytest.mark.parametrize("url", ["s3://results/tonight", "s3://results/tonight/maps/report.html"])
def test_a_dataset_holds_its_own_files_only(url: str) -> None:
    """At any depth."""
    with pytest.raises(UsageError) as refused:
        check_outside(LAYOUT, url)
    assert str(refused.value) == (
        f"{url} lies in the dataset s3://results/tonight, which holds its own files only. Give another --out."
    )
