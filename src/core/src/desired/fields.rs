//! What this node does with every field of a pod.
//!
//! Each table below destructures one API type without `..`: a field that a new Kubernetes brings does not compile
//! until somebody has decided about it. `docs/pods.md` is printed from the same tables, so that the page cannot
//! promise what the code does not do.

mod container;
mod decision;
mod pod;
mod present;
mod security;
mod volume;

use std::fmt::Write;

pub(super) use container::{container, env_var_source, port, resources, restart_rule};
pub(super) use decision::Finding;
pub use decision::{Decision, Row, Table};
pub(super) use pod::{pod, pod_resources};
pub(super) use security::{pod_security, security};
pub(super) use volume::{empty_dir, mount, projection, volume};

/// Every table, in the order of the page.
pub const TABLES: &[Table] = &[
    Table { title: "Pod", rows: pod::POD },
    Table { title: "Resources of the pod as a whole", rows: pod::POD_RESOURCES },
    Table { title: "Security context of the pod", rows: security::POD_SECURITY },
    Table { title: "Container", rows: container::CONTAINER },
    Table { title: "Resources", rows: container::RESOURCES },
    Table { title: "Ports", rows: container::PORT },
    Table { title: "Restart rules", rows: container::RESTART_RULE },
    Table { title: "Sources of environment variables", rows: container::ENV_VAR_SOURCE },
    Table { title: "Security context of a container", rows: security::SECURITY },
    Table { title: "Volume mounts", rows: volume::MOUNT },
    Table { title: "Volumes", rows: volume::VOLUME },
    Table { title: "Empty directories", rows: volume::EMPTY_DIR },
    Table { title: "Sources of projected volumes", rows: volume::PROJECTION },
];

const HEAD: &str = "\
<!-- Generated from the tables in src/core/src/desired/fields; do not edit. -->
# Fields of a pod

What this version does with each field of a pod's `spec`. A field that is set and cannot be honoured is never ignored
silently.

| decision | meaning |
|---|---|
";

/// The page `docs/pods.md`, whole.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for decision in Decision::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {decision} | {} |", decision.meaning());
    }
    for table in TABLES {
        let _ = write!(page, "\n## {}\n\n| field | decision | note |\n|---|---|---|\n", table.title);
        for row in table.rows {
            let _ = writeln!(page, "| `{}` | {} | {} |", row.path, row.decision, row.note);
        }
    }
    page
}

#[cfg(test)]
mod tests;
