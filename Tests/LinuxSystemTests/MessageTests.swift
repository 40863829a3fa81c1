// What is printed for users, however hostile the words in it are.
import LinuxSystem
import Testing

private let texts: [(String, String)] = [
    ("one sentence", "one sentence"), ("two\n\tlines", "two\n\tlines"), ("\u{1B}]0;title\u{7}", "?]0;title?"), ("\r\u{0}\u{7F}", "???"),
    // C1: the same commands in one character.
    ("\u{9B}31mred", "?31mred"), ("\u{9D}0;title\u{9C}", "?0;title?"), ("Größe 大", "Größe 大"), ("", ""),
]

@Test(arguments: texts) func controlCharactersAreNotPrinted(text: String, expected: String) {
    #expect(Array(withoutControls(text).unicodeScalars) == Array(expected.unicodeScalars))
}
