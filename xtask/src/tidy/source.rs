//! Reading Rust sources as far as the rules need: what is code and not a test, and which paths of `std` it names.

/// `source` without comments, without the contents of texts, and without items under `#[cfg(test)]`. Lines keep
/// their numbers.
pub(super) fn code_without_tests(source: &str) -> String {
    let mut code = code_only(source);
    for (start, end) in test_items(&code) {
        blank(&mut code, start, end);
    }
    code.into_iter().collect()
}

/// The number of lines that items under `#[cfg(test)]` take.
pub(super) fn test_line_count(source: &str) -> usize {
    let code = code_only(source);
    let lines =
        |(start, end): (usize, usize)| 1 + code[start..end].iter().filter(|symbol| **symbol == '\n').count();
    test_items(&code).into_iter().map(lines).sum()
}

/// Where the items under `#[cfg(test)]` begin and end.
fn test_items(code: &[char]) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(start) = find_from(code, "#[cfg(test)]", from) {
        from = item_end(code, start);
        items.push((start, from));
    }
    items
}

/// All paths of `std` that the code names, use trees spelled out, with the line on which they begin.
///
/// `use std::{fs, time::{self, Instant as Now}}` gives `std::fs`, `std::time` and `std::time::Instant`.
pub(super) fn std_paths(code: &str) -> Vec<(usize, String)> {
    let symbols: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = find_from(&symbols, "std::", from) {
        from = start + 5;
        // `my_std::` is another word, and so is `other::std::`; `::std::` is meant.
        let inside_word = start > 0 && is_word(symbols[start - 1]);
        let inside_path = start > 2 && symbols[start - 1] == ':' && is_word(symbols[start - 3]);
        if inside_word || inside_path {
            continue;
        }
        let line = 1 + symbols[..start].iter().filter(|symbol| **symbol == '\n').count();
        let mut paths = Vec::new();
        from = read_tree(&symbols, from, "std", &mut paths);
        found.extend(paths.into_iter().map(|path| (line, path)));
    }
    found
}

/// Replaces comments and the contents of literals by blanks.
fn code_only(source: &str) -> Vec<char> {
    let mut code: Vec<char> = source.chars().collect();
    let mut at = 0;
    while at < code.len() {
        let end = match code[at] {
            '/' if code.get(at + 1) == Some(&'/') => find_from(&code, "\n", at).unwrap_or(code.len()),
            '/' if code.get(at + 1) == Some(&'*') => comment_end(&code, at),
            '"' => text_end(&code, at),
            'r' if !after_word(&code, at) || after_byte_prefix(&code, at) => match raw_text_end(&code, at) {
                Some(end) => end,
                None => at,
            },
            '\'' => character_end(&code, at).unwrap_or(at),
            _ => at,
        };
        if end > at {
            blank(&mut code, at, end);
            at = end;
        } else {
            at += 1;
        }
    }
    code
}

fn blank(code: &mut [char], start: usize, end: usize) {
    for symbol in code[start..end].iter_mut().filter(|symbol| **symbol != '\n') {
        *symbol = ' ';
    }
}

/// Block comments nest.
fn comment_end(code: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < code.len() {
        match (code[at], code.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    code.len()
}

fn text_end(code: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < code.len() {
        match code[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    code.len()
}

/// The end of `r"..."` or `r#"..."#`; none if no text begins here (`r#type` is a name).
fn raw_text_end(code: &[char], start: usize) -> Option<usize> {
    let hash_count = code[start + 1..]
        .iter()
        .take_while(|symbol| **symbol == '#')
        .count();
    let open = start + 1 + hash_count;
    if code.get(open) != Some(&'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hash_count));
    Some(find_from(code, &close, open + 1).map_or(code.len(), |end| end + close.len()))
}

/// The end of a character literal; none for a lifetime.
fn character_end(code: &[char], start: usize) -> Option<usize> {
    match (code.get(start + 1)?, code.get(start + 2)?) {
        ('\\', _) => Some(find_from(code, "'", start + 3)? + 1),
        (_, '\'') => Some(start + 3),
        _ => None,
    }
}

fn after_word(code: &[char], at: usize) -> bool {
    at > 0 && is_word(code[at - 1])
}

/// True between `b` or `c` and the `r` of `br"..."`.
fn after_byte_prefix(code: &[char], at: usize) -> bool {
    at > 0 && matches!(code[at - 1], 'b' | 'c') && !after_word(code, at - 1)
}

/// The end of the item whose first attribute begins at `start`: its closing brace, or its semicolon.
fn item_end(code: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, symbol) in code.iter().enumerate().skip(start) {
        match symbol {
            '{' | '(' | '[' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn find_from(code: &[char], needle: &str, from: usize) -> Option<usize> {
    let needle: Vec<char> = needle.chars().collect();
    let rest = code.get(from..)?;
    rest.windows(needle.len())
        .position(|window| window == needle)
        .map(|offset| from + offset)
}

fn is_word(symbol: char) -> bool {
    symbol.is_alphanumeric() || symbol == '_'
}

/// Reads what follows `prefix::`, adds the full paths, and returns where it ends.
fn read_tree(code: &[char], at: usize, prefix: &str, found: &mut Vec<String>) -> usize {
    let at = skip_blank(code, at);
    match code.get(at) {
        Some('{') => return read_group(code, at + 1, prefix, found),
        Some('*') => {
            found.push(format!("{prefix}::*"));
            return at + 1;
        }
        _ => {}
    }
    let name: String = code[at..].iter().take_while(|symbol| is_word(**symbol)).collect();
    let end = at + name.chars().count();
    if name.is_empty() || name == "self" {
        found.push(prefix.to_owned());
        return end;
    }
    let path = format!("{prefix}::{name}");
    let next = skip_blank(code, end);
    if code.get(next) == Some(&':') && code.get(next + 1) == Some(&':') {
        let inner = skip_blank(code, next + 2);
        let goes_on = code
            .get(inner)
            .is_some_and(|symbol| is_word(*symbol) || matches!(symbol, '{' | '*'));
        if goes_on {
            return read_tree(code, inner, &path, found);
        }
    }
    found.push(path);
    end
}

/// Reads the members of a group up to behind its closing brace.
fn read_group(code: &[char], start: usize, prefix: &str, found: &mut Vec<String>) -> usize {
    let mut at = start;
    loop {
        at = skip_blank(code, at);
        match code.get(at) {
            None => return at,
            Some('}') => return at + 1,
            Some(',') => at += 1,
            Some(_) => {
                at = read_tree(code, at, prefix, found);
                // A name after `as` is of no interest.
                while code.get(at).is_some_and(|symbol| !matches!(symbol, ',' | '}')) {
                    at += 1;
                }
            }
        }
    }
}

fn skip_blank(code: &[char], from: usize) -> usize {
    from + code.get(from..).map_or(0, |rest| {
        rest.iter().take_while(|symbol| symbol.is_whitespace()).count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(code: &str) -> Vec<String> {
        std_paths(code).into_iter().map(|(_, path)| path).collect()
    }

    #[test]
    fn use_trees_are_spelled_out() {
        let code = "use std::{fs, time::{self, Instant as Now}, io::*};";
        assert_eq!(
            paths(code),
            ["std::fs", "std::time", "std::time::Instant", "std::io::*"]
        );
        assert_eq!(
            paths("let a = ::std::mem::size_of::<u8>();"),
            ["std::mem::size_of"]
        );
        assert_eq!(paths("use my_std::fs; use other::std::fs;"), [""; 0]);
    }

    #[test]
    fn quotes_in_characters_and_lifetimes_do_not_open_a_text() {
        let code =
            code_without_tests("fn f<'a>(x: &'a str) { let q = '\"'; let e = '\\''; std::fs::read(x); }");
        assert_eq!(paths(&code), ["std::fs::read"]);
    }

    #[test]
    fn raw_texts_and_nested_comments_are_no_code() {
        let code = code_without_tests(
            "let a = r#\"x\" std::fs\"#; /* /* std::net */ std::env */ let b = br\"std::os\";\nstd::thread::park();",
        );
        assert_eq!(std_paths(&code), [(2, "std::thread::park".to_owned())]);
    }

    #[test]
    fn only_the_item_under_the_attribute_is_left_out() {
        let source = "#[cfg(test)]\n#[path = \"a.rs\"]\nmod tests;\nuse std::fs;\n#[cfg(test)]\nfn helper(a: [u8; 2]) { if true { } }\nuse std::env;\n";
        let code = code_without_tests(source);
        assert_eq!(
            std_paths(&code),
            [(4, "std::fs".to_owned()), (7, "std::env".to_owned())]
        );
        assert_eq!(code.lines().count(), source.lines().count());
        assert_eq!(test_line_count(source), 5);
    }
}
