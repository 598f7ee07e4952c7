import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dsl.yaml.scalars import Ambiguous, read_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("Null", None),
        ("0", 0),
        ("-12", -12),
        ("9223372036854775807", 2**63 - 1),
        ("1.0e-4", 1e-4),
        ("2.", 2.0),
        (".5", 0.5),
        ("-0.5", -0.5),
        ("0.5e+3", 500.0),
        ("y", "y"),
        ("nan", "nan"),
        ("=", "="),
        ("gpt-4o-2024-11-20", "gpt-4o-2024-11-20"),
        ("93efa2f", "93efa2f"),
        ("12:30 h", "12:30 h"),
        ("e5", "e5"),
        (".", "."),
        ("-", "-"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_what_all_readers_of_yaml_agree_on_is_read(text: str, value: object) -> None:
    read = read_plain(text)
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no", 'YAML reads `no` as false. Quote it: "no".'),
        ("Yes", 'YAML reads `Yes` as true. Quote it: "Yes".'),
        ("ON", 'YAML reads `ON` as true. Quote it: "ON".'),
        ("off", 'YAML reads `off` as false. Quote it: "off".'),
        ("1e-4", '`1e-4` is text in YAML. Write 1.0e-4, or quote it if text is meant: "1e-4".'),
        ("-1.5E5", '`-1.5E5` is text in YAML. Write -1.5e+5, or quote it if text is meant: "-1.5E5".'),
        ("+.5", '`+.5` is text in YAML. Write +0.5, or quote it if text is meant: "+.5".'),
        (
            "1_000",
            (
                "`1_000` is a number for some readers of YAML and text for others. Write 1000, or quote it if"
                ' text is meant: "1_000".'
            ),
        ),
        (
            "0x1F",
            '`0x1F` is a number in another base. Write it in decimal, or quote it if text is meant: "0x1F".',
        ),
        ("1:30", 'YAML reads `1:30` as a number in base 60. Quote it: "1:30".'),
        ("1:30.5", 'YAML reads `1:30.5` as a number in base 60. Quote it: "1:30.5".'),
        ("2024-01-01", 'YAML reads `2024-01-01` as a date. Quote it: "2024-01-01".'),
        (
            "2001-12-14t21:59:43.10-05:00",
            'YAML reads `2001-12-14t21:59:43.10-05:00` as a date. Quote it: "2001-12-14t21:59:43.10-05:00".',
        ),
        (".inf", '`.inf` is not a finite number, and no setting may be anything else. Quote it: ".inf".'),
    ],
)
def test_what_they_read_differently_is_refused_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(Ambiguous) as refused:
        read_plain(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "010",
        "-010",
        "08",
        "0_1",
        "0o17",
        "0b101",
        "0x_",
        ".nan",
        "-.INF",
        "1.0e+999",
        "9223372036854775808",
        "1" * 5000,
    ],
)
def test_other_spellings_of_numbers_are_refused(text: str) -> None:
    with pytest.raises(Ambiguous, match=r"(?i)quote it"):
        read_plain(text)


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(Ambiguous) as refused:
        read_plain("12e34", ("judge", "api_key"))
    assert str(refused.value) == "«redacted» is text in YAML. Quote it."


@given(st.text(alphabet="0123456789+-._:eExobTZ nNyY~af", max_size=12).map(str.strip))
def test_whatever_is_read_is_what_pyyaml_reads(text: str) -> None:
    try:
        value = read_plain(text)
    except Ambiguous:
        return
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))
    node = yaml.ScalarNode(tag, text)
    assert value == yaml.SafeLoader("").construct_object(node)


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.none()
)
def test_every_value_that_pyyaml_writes_is_read_back(value: object) -> None:
    assert read_plain(yaml.safe_dump(value).removesuffix("...\n").strip()) == value
