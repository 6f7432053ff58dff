//! Collects fields that cannot be honoured.

use crate::desired::Unsupported;
use crate::desired::fields::{Decision, Finding};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    refused: Vec<Unsupported>,
    reported: Vec<Unsupported>,
}

impl Notes {
    /// Files the findings about one object. Those about volumes that are not mounted belong to the volume itself.
    pub(super) fn take(&mut self, object: &str, findings: Vec<Finding>) {
        for finding in findings {
            let entry = Unsupported { path: format!("{object}.{}", finding.field), why: finding.note };
            match finding.decision {
                Decision::Refused => self.refused.push(entry),
                Decision::Reported => self.reported.push(entry),
                Decision::Honoured | Decision::Void | Decision::NotMounted => {}
            }
        }
    }

    /// Refuses a value that makes no sense.
    pub(super) fn refuse(&mut self, path: String, why: &'static str) {
        self.refused.push(Unsupported { path, why });
    }

    /// Refused, reported.
    pub(super) fn into_lists(self) -> (Vec<Unsupported>, Vec<Unsupported>) {
        (self.refused, self.reported)
    }
}
