//! `$(VAR)` references, as Kubernetes expands them: once, without recursion; `$$` is a dollar sign, and what is not a
//! known reference stays as it is.

/// Replaces the references in a text; `lookup` says what a name stands for. `None` when the result would be longer
/// than `limit` bytes: references to references double with every variable.
pub(super) fn expand<'a>(text: &'a str, limit: usize, lookup: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    // Nothing behind the last `)` is a reference; without this, `$($($(` would be searched to its end each time.
    let last_closer = text.rfind(')').unwrap_or_default();
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('$') {
        let dollar = at + found;
        out.push_str(&text[at..dollar]);
        let (replacement, length) = token(&text[dollar..], dollar < last_closer, &lookup);
        out.push_str(replacement);
        at = dollar + length;
        if out.len() > limit {
            return None;
        }
    }
    out.push_str(&text[at..]);
    (out.len() <= limit).then_some(out)
}

/// What the text, which begins with `$`, begins with: the replacement, and the length of what is replaced.
fn token<'a>(text: &'a str, closes: bool, lookup: &impl Fn(&str) -> Option<&'a str>) -> (&'a str, usize) {
    if text.starts_with("$$") {
        return ("$", 2);
    }
    let reference = text.strip_prefix("$(").filter(|_| closes).and_then(|inner| inner.split_once(')'));
    match reference {
        Some((name, _)) => {
            let length = name.len() + "$()".len();
            (lookup(name).unwrap_or(&text[..length]), length)
        }
        // Not a reference: the dollar sign stands for itself, and what follows is read on its own.
        None => ("$", 1),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The cases of Kubernetes' own tests of this syntax.
    #[test]
    fn as_kubernetes_does() {
        let vars = BTreeMap::from([
            ("VAR_A", "A"),
            ("VAR_B", "B"),
            ("VAR_C", "C"),
            ("VAR_REF", "$(VAR_A)"),
            ("VAR_EMPTY", ""),
        ]);
        let cases = [
            ("$(VAR_A)", "A"),
            ("$(VAR_A)-$(VAR_A)", "A-A"),
            ("$(VAR_A)-1", "A-1"),
            ("___$(VAR_B)___", "___B___"),
            ("___$(VAR_C)", "___C"),
            ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
            ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
            ("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)"),
            ("f000-$$VAR_A", "f000-$VAR_A"),
            ("foo\\$(VAR_C)bar", "foo\\Cbar"),
            ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
            ("foo\\\\\\\\$(VAR_A)bar", "foo\\\\\\\\Abar"),
            ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
            ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"),
            ("foo$(VAR_EMPTY)bar", "foobar"),
            ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
            ("f00__(VAR_A)__", "f00__(VAR_A)__"),
            ("$?_boo_$!", "$?_boo_$!"),
            ("$VAR_A", "$VAR_A"),
            ("$(VAR_DNE)", "$(VAR_DNE)"),
            ("$$$$$$(BIG_MONEY)", "$$$(BIG_MONEY)"),
            ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
            ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"),
            ("$$$$$$$(VAR_A)", "$$$A"),
            ("$VAR_A)", "$VAR_A)"),
            ("${VAR_A}", "${VAR_A}"),
            ("$(VAR_B)_______$(A", "B_______$(A"),
            ("$(VAR_C)_______$(", "C_______$("),
            ("$(VAR_A)foobarzab$", "Afoobarzab$"),
            ("foo-\\$(VAR_A", "foo-\\$(VAR_A"),
            ("--$($($($($--", "--$($($($($--"),
            ("$($($($($--foo$(", "$($($($($--foo$("),
            ("foo0--$($($($(", "foo0--$($($($("),
            ("$(foo$$var)", "$(foo$$var)"),
            ("\n", "\n"),
            ("$£FOO", "$£FOO"),
            ("prefix-$€-suffix", "prefix-$€-suffix"),
            ("$中文", "$中文"),
            ("", ""),
            ("$()", "$()"),
        ];
        for (text, expected) in cases {
            let found = expand(text, 100, |name| vars.get(name).copied());
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn too_long_is_an_error_and_found_early() {
        let twice = |_: &str| Some("12345");
        assert_eq!(expand("$(A)$(A)", 10, twice).as_deref(), Some("1234512345"));
        assert_eq!(expand("$(A)$(A)", 9, twice), None);
        assert_eq!(expand("1234567890x", 10, twice), None);
    }

    #[test]
    fn openers_without_closer_take_linear_time() {
        let text = "$(".repeat(500_000);
        assert_eq!(expand(&text, text.len(), |_| None), Some(text.clone()));
    }
}
