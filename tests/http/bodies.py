"""Bodies after the names of https://github.com/nst/JSONTestSuite, to a real
daemon: y_ is JSON and taken, n_ is not and refused, i_ is left to each parser,
and what ours does is said. A session shows that what is refused changes nothing.

    bodies.py URL
"""
import json
import sys
import urllib.error
import urllib.request

PARSER = "the body is not valid JSON: "

# Whole bodies. `S` is a session, so that what is taken shows.
S = b'"session":"s","length":1,"unknown":"skip"'
BODIES = [
    ("y_object", b"{" + S + b"}"),
    ("y_object_extreme_whitespace", b" \t\r\n{ \n" + S + b"\r\t} \n"),
    ("y_object_escaped_key", b'{"prom\\u0070t":"O",' + S + b"}"),
    ("y_object_null_is_absent", b'{"prompt":null,"n":null,' + S + b"}"),
    ("n_structure_no_data", b"", 400, "empty"),
    ("n_structure_whitespace", b" \n"),
    ("n_structure_lone_open_object", b"{"),
    ("n_structure_truncated", b"{" + S),
    ("n_structure_truncated_key", b'{"sess'),
    ("n_structure_truncated_after_colon", b'{"session":'),
    ("n_structure_truncated_escape", b"{" + S + b',"prompt":"\\u00'),
    ("n_structure_object_followed_by_object", b"{" + S + b"}{}"),
    ("n_structure_trailing_hash", b"{" + S + b"}#"),
    ("n_structure_trailing_NUL", b"{" + S + b"}\0"),
    ("n_structure_null_byte", b"\0"),
    ("n_structure_null_byte_between", b"{\0" + S + b"}"),
    ("n_structure_UTF8_BOM_no_data", b"\xef\xbb\xbf"),
    ("n_structure_open_array_100000", b"[" * 100000, 400,
     "deeper than 16"),
    ("n_structure_open_object_100000", b'{"prompt":' * 100000, 400,
     "deeper than 16"),
    ("n_structure_end_array", b"]"),
    ("n_structure_comment", b"{" + S + b"/* c */}"),
    ("n_structure_line_comment", b"{" + S + b"}// c"),
    ("n_structure_unclosed_comment", b"{/*" + S + b"}"),
    ("n_structure_single_quote", S.replace(b'"', b"'").join([b"{", b"}"])),
    ("n_structure_unquoted_key", b'{session:"s","length":1}'),
    ("n_structure_formfeed", b"{\x0c" + S + b"}"),
    ("n_structure_nbsp", b"{\xc2\xa0" + S + b"}"),
    ("n_structure_angle_bracket", b"<.>"),
    ("n_structure_capitalised_True", b"{" + S + b',"echo":True}'),
    ("n_structure_incomplete_literal", b"{" + S + b',"echo":tru}'),
    ("n_structure_ASCII_unicode_identifier", b"\xc3\xa5"),
    ("n_object_trailing_comma", b"{" + S + b",}"),
    ("n_object_two_commas", b"{" + S + b',,"n":1}'),
    ("n_object_leading_comma", b"{," + S + b"}"),
    ("n_object_missing_colon", b'{"session" "s","length":1}'),
    ("n_object_missing_value", b"{" + S + b',"prompt":}'),
    ("n_object_double_colon", b"{" + S + b',"prompt"::"O"}'),
    ("n_object_non_string_key", b"{" + S + b",1:1}"),
    ("n_object_bracket_key", b"{" + S + b',[]:1}'),
    ("n_array_extra_comma", b"{" + S + b',"stop":["a",]}'),
    ("n_array_missing_value", b"{" + S + b',"stop":[,"a"]}'),
    ("n_array_colon_instead_of_comma", b"{" + S + b',"stop":["a":1]}'),
    ("n_array_unclosed", b"{" + S + b',"stop":["a"}'),
    ("i_object_duplicated_key", b"{" + S + b',"prompt":"O","prompt":"me"}', 400,
     "duplicate"),
    ("i_object_duplicated_escaped_key",
     b"{" + S + b',"prompt":"O","prom\\u0070t":"me"}', 400, "duplicate"),
    ("i_structure_UTF8_BOM", b"\xef\xbb\xbf{" + S + b"}", 400, ""),
    ("i_string_UTF16LE", ("{" + S.decode() + "}").encode("utf-16"), 400, ""),
    ("i_string_UTF16BE", ("{" + S.decode() + "}").encode("utf-16-be"), 400, ""),
    ("i_structure_500_nested_arrays",
     b"{" + S + b',"stop":' + b"[" * 500 + b"]" * 500 + b"}", 400, "deeper than 16"),
    # JSON, but no request.
    ("i_structure_array", b"[]", 400, "object"),
    ("i_structure_string", b'"O"', 400, "object"),
    ("i_structure_number", b"2", 400, "object"),
    ("i_structure_null", b"null", 400, "object"),
]

# Values of `prompt`.
STRINGS = [
    ("y_string_empty", b'""'),
    ("y_string_escapes", rb'"\"\\\/\b\f\n\r\t"'),
    ("y_string_unicode_escape", rb'"\u004f\u006D"'),
    ("y_string_surrogate_pair", rb'"\uD834\uDd1e"'),
    ("y_string_utf8", '"\u00e9\u20ac\U0001d11e"'.encode()),
    ("y_string_noncharacter", '"\uffff\U0010ffff"'.encode()),
    ("y_string_u2028", '"\u2028\u2029"'.encode()),
    ("y_string_DEL", b'"\x7f"'),
    ("y_string_slash", b'"a/b"'),
    ("y_string_NUL_escape", rb'"a\u0000b"'),
    ("n_string_lone_quote", b'"'),
    ("n_string_bad_escape", rb'"\x41"'),
    ("n_string_escaped_control", b'"\\\n"'),
    ("n_string_newline", b'"a\nb"'),
    ("n_string_tab", b'"\t"'),
    ("n_string_NUL", b'"a\0b"'),
    ("n_string_control", b'"a\x1fb"'),
    ("n_string_incomplete_u", rb'"\u00A"'),
    ("n_string_bad_hex", rb'"\u00GG"'),
    ("n_string_single_quote", b"'O'"),
    ("n_string_no_quotes", b"O"),
    ("n_string_half_surrogate_then_escape", rb'"\uD800\n"'),
    ("i_string_lone_high_surrogate", rb'"\uD800"', 400, PARSER),
    ("i_string_lone_low_surrogate", rb'"\uDC00"', 400, PARSER),
    ("i_string_inverted_surrogates", rb'"\uDd1e\uD834"', 400, PARSER),
    ("i_string_two_high_surrogates", rb'"\uD800\uD800"', 400, PARSER),
    ("i_string_invalid_utf8", b'"\xff"', 400, PARSER),
    ("i_string_truncated_utf8", b'"\xe2\x82"', 400, PARSER),
    ("i_string_overlong_slash", b'"\xc0\xaf"', 400, PARSER),
    ("i_string_overlong_NUL", b'"\xc0\x80"', 400, PARSER),
    ("i_string_utf8_surrogate", b'"\xed\xa0\x80"', 400, PARSER),
    ("i_string_over_10ffff", b'"\xf4\xbf\xbf\xbf"', 400, PARSER),
    ("i_string_five_bytes", b'"\xf8\x88\x80\x80\x80"', 400, PARSER),
    ("i_string_lone_continuation", b'"\x81"', 400, PARSER),
    ("i_string_latin1", b'"\xe9"', 400, PARSER),
    ("i_number_for_a_string", b"7", 400, "the integer 7"),
]

# Values of `temperature`.
NUMBERS = [
    ("y_number", b"0.5"),
    ("y_number_int", b"1"),
    ("y_number_minus_zero", b"-0"),
    ("y_number_0e1", b"0e1"),
    ("y_number_exponent", b"5E-1"),
    ("y_number_plus_exponent", b"0.05e+1"),
    ("y_number_long", b"0." + b"1" * 400),
    ("n_number_NaN", b"NaN"),
    ("n_number_nan", b"nan"),
    ("n_number_Infinity", b"Infinity"),
    ("n_number_minus_Infinity", b"-Infinity"),
    ("n_number_plus", b"+1"),
    ("n_number_leading_zero", b"01"),
    ("n_number_minus_leading_zero", b"-01"),
    ("n_number_point_first", b".5"),
    ("n_number_point_last", b"1."),
    ("n_number_point_e", b"1.e1"),
    ("n_number_lone_minus", b"-"),
    ("n_number_two_minus", b"--1"),
    ("n_number_e_alone", b"1e"),
    ("n_number_e_plus", b"1e+"),
    ("n_number_hex", b"0x1"),
    ("n_number_two_points", b"0.1.2"),
    ("n_number_expression", b"1+1"),
    ("n_number_space", b"1 000"),
    ("n_number_fullwidth_digit", "\uff11".encode()),
    ("n_number_alpha", b"1a"),
    ("n_number_then_NUL", b"1\0"),
    ("i_number_huge_exponent", b"1e999", 400, ""),
    ("i_number_minus_huge_exponent", b"-1e999", 400, ""),
    ("i_number_tiny", b"1e-999", 200, ""),
    ("i_number_too_big_int", b"100000000000000000000", 400, ""),
    ("i_number_too_big_negative_int", b"-123123123123123123123", 400, ""),
    ("i_number_300_digits", b"9" * 300, 400, ""),
    ("i_number_out_of_range", b"-1", 400, "temperature is"),
    ("i_string_for_a_number", b'"1"', 400, "temperature is a string"),
    ("i_bool_for_a_number", b"true", 400, "temperature is"),
]


def post(url, path, body):
    request = urllib.request.Request(
        url + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def rows():
    for name, body, *rest in BODIES:
        yield name, body, *rest
    for field, table in ((b"prompt", STRINGS), (b"temperature", NUMBERS)):
        for name, value, *rest in table:
            yield name, b"{" + S + b',"' + field + b'":' + value + b"}", *rest


def wrong(name, status, answer, expected):
    """What is not as it should be, or None."""
    want, words = expected or {"y": (200, ""), "n": (400, PARSER)}[name[0]]
    if status != want:
        return f"{status}, expected {want}: {answer[:200]!r}"
    if want == 400:
        error = json.loads(answer)["error"]
        if words not in error["message"] or error["code"] != "invalid_value":
            return f"expected '{words}' in {error}"
    return None


def position(url):
    with urllib.request.urlopen(url + "/v1/sessions/s", timeout=30) as answer:
        return json.load(answer)["position"]


def main(url):
    failed = n = 0
    assert post(url, "/v1/sessions", b'{"id":"s","seed":1}')[0] == 201
    for path in ("/sample", "/v1/completions"):
        for name, body, *expected in rows():
            if path != "/sample":  # its own word for it
                body = body.replace(b'"length"', b'"max_tokens"')
            before = position(url)
            status, answer = post(url, path, body)
            why = wrong(name, status, answer, expected)
            moved = position(url) - before
            if not why and (moved > 0) != (status == 200):
                why = f"{status}, and the session moved by {moved}"
            if why:
                failed += 1
                print(f"{path} {name}: {why}")
            n += 1
    print(f"{n} bodies, {failed} not as expected")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
