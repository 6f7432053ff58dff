//! YAML as a tree that knows its lines, so that every complaint can say where.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A node of the document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<(u64, Tree)>),
    Map(Vec<Entry>),
}

/// A key with its line and what it leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u64,
    pub(super) value: Tree,
}

// === impl Tree ===

impl Tree {
    /// The entry of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match self {
            Self::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text below a chain of keys.
    pub(super) fn text(&self, keys: &[&str]) -> Option<&str> {
        match keys {
            [] => match self {
                Self::Text(text) => Some(text),
                _ => None,
            },
            [key, rest @ ..] => self.get(key)?.value.text(rest),
        }
    }

    /// The line of the longest part of a chain of keys that exists.
    pub(super) fn line_of(&self, keys: &[&str]) -> Option<u64> {
        let [key, rest @ ..] = keys else { return None };
        let entry = self.get(key)?;
        Some(entry.value.line_of(rest).unwrap_or(entry.line))
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Tree>>()? {
            items.push((item.referenced.line(), item.value));
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Tree>()? {
            entries.push(Entry { line: key.referenced.line(), key: key.value, value });
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_items_have_their_lines() {
        let tree: Tree = serde_saphyr::from_str("a: 1\nb:\n  c: x\n  d:\n  - e: null\n  - true\n").unwrap();
        assert_eq!(tree.get("a").unwrap().value, Tree::Number("1".to_owned()));
        assert_eq!(tree.text(&["b", "c"]), Some("x"));
        assert_eq!(
            (tree.line_of(&["b", "c"]), tree.line_of(&["b", "x"]), tree.line_of(&["x"])),
            (Some(3), Some(2), None)
        );
        let Tree::List(items) = &tree.get("b").unwrap().value.get("d").unwrap().value else { panic!("{tree:?}") };
        assert_eq!((items[0].0, items[1].0), (5, 6));
        assert_eq!(items[0].1.get("e").unwrap().value, Tree::Null);
    }
}
