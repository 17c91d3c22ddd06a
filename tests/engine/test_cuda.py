"""cuBLAS is loaded from its wheel, in the right order."""

from pathlib import Path

from asr_api.engine.cuda import installed_files, load_cublas


def test_libraries_load_in_the_order_they_need_each_other() -> None:
    """libcublasLt first, which libcublas needs; other files of the wheel are left alone."""
    loaded: list[str] = []
    files = [Path("/site/lib") / name for name in ("libcublas.so.12", "libnvblas.so.12", "libcublasLt.so.12")]
    assert load_cublas(lambda: files, loaded.append) == ["libcublasLt.so.12", "libcublas.so.12"]
    assert loaded == ["/site/lib/libcublasLt.so.12", "/site/lib/libcublas.so.12"]


def test_without_the_wheel_nothing_is_loaded() -> None:
    """A machine with CUDA of its own needs no wheel."""
    assert load_cublas(lambda: []) == []
    assert isinstance(list(installed_files()), list)
