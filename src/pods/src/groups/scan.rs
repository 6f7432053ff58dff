//! What earlier agents left: groups, their users, and the pods in them.

use std::io;
use std::path::Path;

use tracing::warn;
use wasmnode_logs::beneath::Root;

use super::{Group, Groups, Place};
use crate::layout::{Medium, PODS, PodLayout, if_there};
use crate::own::{self, Record};

/// Groups and pods looked at; more than a node has by orders of magnitude.
const MAX_NAMES: usize = 1_000_000;

/// A pod's directory with its record.
pub(crate) struct Found {
    pub(crate) layout: PodLayout,
    pub(crate) record: Record,
}

// === impl Groups ===

impl Groups {
    /// Reads what is on disk, before the first pod is placed. Directories without a record are left alone, here and
    /// everywhere. Blocking.
    pub(crate) fn scan(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for medium in Medium::ALL {
            let Some(groups) = self.open(medium)? else { continue };
            for name in groups.names(MAX_NAMES)? {
                match groups.dir(Path::new(&name)) {
                    Ok(directory) => self.scan_group(medium, &Group::named(name), &directory, &mut found)?,
                    Err(error) => warn!(name, %error, "Not the directory of a group"),
                }
            }
        }
        Ok(found)
    }

    /// The one on disk is made, so that an agent that cannot use it ends.
    fn open(&self, medium: Medium) -> io::Result<Option<Root>> {
        match medium {
            Medium::Disk => self.layout.groups(medium).map(Some),
            Medium::Memory => self.layout.groups_if_there(medium),
        }
    }

    fn scan_group(&self, medium: Medium, group: &Group, directory: &Root, found: &mut Vec<Found>) -> io::Result<()> {
        // Memory holds nothing that tells whose it is, and may have been emptied.
        let user = if medium == Medium::Disk { user_of(directory)? } else { None };
        self.index().found_group(group, user);
        let Some(pods) = if_there(directory.dir(Path::new(PODS)))?.filter(|_| medium == Medium::Disk) else {
            return Ok(());
        };
        for uid in pods.names(MAX_NAMES)? {
            match pods.dir(Path::new(&uid)).and_then(|pod| Ok((own::read(&pod, &uid)?, user_of(&pod)?))) {
                Ok((record, user)) => self.found(group, user, record, found),
                Err(error) => warn!(uid, %group, %error, "Directory without a record is left alone"),
            }
        }
        Ok(())
    }

    fn found(&self, group: &Group, user: Option<u32>, record: Record, found: &mut Vec<Found>) {
        let settled = record.group.as_deref() == Some(group.as_str());
        let pod = &record.pod;
        let place = Place { group: group.clone(), user, settled };
        match self.index().found_pod(&pod.uid, place) {
            None => {}
            Some(unused) => warn!(%pod, %unused, "Two directories of one pod"),
        }
        let layout = self.layout.pod(pod, group, user);
        found.push(Found { layout, record });
    }
}

/// The user that a directory of the agent's is for; none: the agent's own.
fn user_of(directory: &Root) -> io::Result<Option<u32>> {
    let group = directory.group()?;
    Ok((group != rustix::process::getegid().as_raw()).then_some(group))
}
