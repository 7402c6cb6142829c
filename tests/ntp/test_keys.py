import pytest

from catenet.ntp.keys import BadKey, Key, read_keys


def test_a_file_as_ntpd_and_chrony_have_it(tmp_path):
    path = tmp_path / "keys"
    path.write_text(
        "# comment\n"
        "1 MD5 secret  # another\n"
        "2 SHA1 HEX:0102030405\n"
        "3 AES128 HEX:2B7E151628AED2A6ABF7158809CF4F3C\n"
        "4 AES 2b7e151628aed2a6abf7158809cf4f3c\n"
        "5 M ASCII:text\n"
        "6 plain\n\n"
    )
    keys = read_keys(path)
    assert {id: key.kind for id, key in keys.items()} == {
        1: "MD5", 2: "SHA1", 3: "AES128", 4: "AES128", 5: "MD5", 6: "MD5",
    }  # fmt: skip
    assert keys[1].secret == b"secret"
    assert keys[3] == Key(3, "AES128", keys[4].secret)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("x MD5 secret", "an identifier"),
        ("1", "a line is"),
        ("1 ROT13 secret", "no kind 'ROT13'"),
        ("1 AES128 HEX:00", "16 octets"),
        ("1 MD5 HEX:0", "not hexadecimal"),
        ("0 MD5 a", "1 to 2"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, why):
    path = tmp_path / "keys"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(BadKey, match=f"line 2.*{why}"):
        read_keys(path)


def test_aes_cmac_of_rfc_4493():
    """Example 3 of RFC 4493 section 4, whose message is 40 octets: too short to be a packet, so the digest is asked."""
    key = Key(1, "AES128", bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411")
    assert key.seal(message)[-16:].hex() == "dfa66747de9ae63030ca32611497c827"
