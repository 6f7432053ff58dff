//! The shape of a decision, and the macro that writes a table of them.

use std::fmt;

/// What this node does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It does what Kubernetes says.
    Honoured,
    /// It holds by itself for a wasm guest, or is not a node's business.
    Void,
    /// Accepted without effect; one Warning event says so.
    Reported,
    /// The containers wait with `CreateContainerConfigError`.
    Refused,
    /// The pod waits with `FailedMount`.
    NotMounted,
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Path as in a manifest; `[]` stands for every element.
    pub path: &'static str,
    /// What happens.
    pub decision: Decision,
    /// Why, and what to do instead. Ends in events and messages too.
    pub note: &'static str,
}

/// The fields of one API type.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Heading of its section.
    pub title: &'static str,
    /// Its fields, in the order of the API type.
    pub rows: &'static [Row],
}

/// A field that is set and not honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::desired) struct Finding {
    /// Name as in a manifest.
    pub(in crate::desired) field: &'static str,
    /// What happens.
    pub(in crate::desired) decision: Decision,
    /// Why.
    pub(in crate::desired) note: &'static str,
}

/// Writes the rows of one API type and the function that finds which of its fields are set and not honoured.
///
/// A line is `rust_field "manifestName" Decision "note"`; `Decision(check)` replaces "is set" by a check of its own.
macro_rules! decisions {
    (
        $rows:ident, $find:ident, $type:ident, $prefix:literal,
        { $($field:ident $name:literal $decision:ident $(($when:path))? $note:literal)+ }
    ) => {
        #[doc = concat!("Decisions about `", $prefix, "`.")]
        pub(super) const $rows: &[$crate::desired::fields::Row] = &[$(
            $crate::desired::fields::Row {
                path: concat!($prefix, ".", $name),
                decision: $crate::desired::fields::Decision::$decision,
                note: $note,
            },
        )+];

        #[doc = concat!("Fields of a `", stringify!($type), "` that are set and not honoured.")]
        pub(in crate::desired) fn $find(
            value: &k8s_openapi::api::core::v1::$type,
        ) -> Vec<$crate::desired::fields::Finding> {
            let k8s_openapi::api::core::v1::$type { $($field),+ } = value;
            #[allow(unused_mut)]
            let mut found = Vec::new();
            $( decisions!(@find found $decision $field $name $note $($when)?); )+
            found
        }
    };
    (@find $found:ident Honoured $field:ident $name:literal $note:literal) => { let _ = $field; };
    (@find $found:ident Void $field:ident $name:literal $note:literal) => { let _ = $field; };
    // A volume's kind is chosen by naming it, even with nothing inside.
    (@find $found:ident NotMounted $field:ident $name:literal $note:literal) => {
        decisions!(@find $found NotMounted $field $name $note Option::is_some);
    };
    (@find $found:ident $decision:ident $field:ident $name:literal $note:literal) => {
        decisions!(@find $found $decision $field $name $note $crate::desired::fields::present::Present::present);
    };
    (@find $found:ident $decision:ident $field:ident $name:literal $note:literal $when:path) => {
        if $when($field) {
            let decision = $crate::desired::fields::Decision::$decision;
            $found.push($crate::desired::fields::Finding { field: $name, decision, note: $note });
        }
    };
}
pub(super) use decisions;

impl Decision {
    /// All of them, from best to worst.
    pub const ALL: [Self; 5] = [Self::Honoured, Self::Void, Self::Reported, Self::Refused, Self::NotMounted];

    /// What it means for the pod, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Honoured => "Does what the Kubernetes documentation says.",
            Self::Void => "Holds by itself for a WebAssembly guest, or is not the node's business.",
            Self::Reported => "Accepted without effect; a Warning event on the pod says so.",
            Self::Refused => {
                "The pod's containers wait with `CreateContainerConfigError`; the message names the field."
            }
            Self::NotMounted => "The pod waits in `ContainerCreating`; a `FailedMount` event names the volume.",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Honoured => "honoured",
            Self::Void => "void",
            Self::Reported => "reported",
            Self::Refused => "refused",
            Self::NotMounted => "not mounted",
        })
    }
}
