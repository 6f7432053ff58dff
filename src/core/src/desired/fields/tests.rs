use std::collections::BTreeSet;

use k8s_openapi::api::core::v1;
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};

use super::*;

/// Notes which fields a type asks for when it is read.
struct Names<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields);
        Err(Error::custom("noted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn names_of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut names = Vec::new();
    assert!(T::deserialize(Names(&mut names)).is_err());
    names
}

/// The destructuring keeps the fields complete; this keeps the names as they are in a manifest.
#[test]
fn names_are_those_of_the_api() {
    let tables: [(&[Row], Vec<&str>); 13] = [
        (pod::POD, names_of::<v1::PodSpec>()),
        (pod::POD_RESOURCES, names_of::<v1::ResourceRequirements>()),
        (security::POD_SECURITY, names_of::<v1::PodSecurityContext>()),
        (container::CONTAINER, names_of::<v1::Container>()),
        (container::RESOURCES, names_of::<v1::ResourceRequirements>()),
        (container::PORT, names_of::<v1::ContainerPort>()),
        (container::RESTART_RULE, names_of::<v1::ContainerRestartRule>()),
        (container::ENV_VAR_SOURCE, names_of::<v1::EnvVarSource>()),
        (security::SECURITY, names_of::<v1::SecurityContext>()),
        (volume::MOUNT, names_of::<v1::VolumeMount>()),
        (volume::VOLUME, names_of::<v1::Volume>()),
        (volume::EMPTY_DIR, names_of::<v1::EmptyDirVolumeSource>()),
        (volume::PROJECTION, names_of::<v1::VolumeProjection>()),
    ];
    assert_eq!(tables.len(), TABLES.len());
    for (rows, names) in tables {
        let ours: Vec<&str> = rows.iter().filter_map(|row| row.path.rsplit('.').next()).collect();
        assert_eq!(ours, names);
    }
}

#[test]
fn what_is_not_honoured_says_why() {
    for row in TABLES.iter().flat_map(|table| table.rows) {
        assert!(row.decision == Decision::Honoured || !row.note.is_empty(), "{}", row.path);
        assert!(!row.note.ends_with('.') && !row.note.contains(['|', '\n']), "{}", row.path);
    }
}

#[test]
fn no_field_is_decided_twice() {
    let mut seen = BTreeSet::new();
    for row in TABLES.iter().flat_map(|table| table.rows) {
        assert!(seen.insert(row.path), "{}", row.path);
    }
}

#[test]
fn nothing_is_found_where_nothing_is_set() {
    assert_eq!(pod(&v1::PodSpec::default()), []);
    assert_eq!(container(&v1::Container::default()), []);
    assert_eq!(security(&v1::SecurityContext::default()), []);
    assert_eq!(pod_security(&v1::PodSecurityContext::default()), []);
    assert_eq!(volume(&v1::Volume::default()), []);
    assert_eq!(mount(&v1::VolumeMount::default()), []);
}

#[test]
fn the_page_has_every_field() {
    let page = markdown();
    for row in TABLES.iter().flat_map(|table| table.rows) {
        assert!(page.contains(&format!("| `{}` | {} | {} |\n", row.path, row.decision, row.note)), "{}", row.path);
    }
    for table in TABLES {
        assert!(page.contains(&format!("\n## {}\n", table.title)));
    }
}
