//! Adds one variable after another.

use std::collections::BTreeMap;

use super::object::{Object, find};
use super::{EnvError, EnvSources, Environment, MAX_BYTES, expand};
use crate::ObjectError;
use crate::desired::{Container, Desired, EnvFrom, EnvSource, EnvValue, EnvVar};
use crate::downward;

/// Variables so far, and what the next ones come from.
pub(super) struct Resolver<'a> {
    desired: &'a Desired,
    container: &'a Container,
    sources: &'a EnvSources<'a>,
    services: BTreeMap<String, String>,
    vars: BTreeMap<String, String>,
    bytes: usize,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        container: &'a Container,
        sources: &'a EnvSources<'a>,
        services: BTreeMap<String, String>,
    ) -> Self {
        Self { desired, container, sources, services, vars: BTreeMap::new(), bytes: 0 }
    }

    pub(super) fn add_object(&mut self, from: &EnvFrom) -> Result<(), EnvError> {
        let Some(object) = self.object(&from.source, from.optional)? else { return Ok(()) };
        for (key, value) in object.entries() {
            self.insert(format!("{}{key}", from.prefix), value)?;
        }
        Ok(())
    }

    pub(super) fn add_var(&mut self, var: &EnvVar) -> Result<(), EnvError> {
        let value = match &var.value {
            EnvValue::Literal(text) => Some(self.expand(text)?.into_bytes()),
            EnvValue::Downward(value) => {
                let text = downward::evaluate(self.desired, Some(self.container), value, &self.sources.facts)?;
                Some(text.into_bytes())
            }
            EnvValue::Key { source, key, optional } => self.key(source, key, *optional)?,
        };
        value.map_or(Ok(()), |value| self.insert(var.name.clone(), &value))
    }

    fn expand(&self, text: &str) -> Result<String, EnvError> {
        let lookup = |name: &str| self.vars.get(name).or_else(|| self.services.get(name)).map(String::as_str);
        expand::expand(text, MAX_BYTES, lookup).ok_or_else(|| self.too_large())
    }

    /// The value of a key; none when it may be missing, and is.
    fn key(&self, source: &EnvSource, key: &str, optional: bool) -> Result<Option<Vec<u8>>, EnvError> {
        let Some(object) = self.object(source, optional)? else { return Ok(None) };
        match object.get(key) {
            Some(value) => Ok(Some(value.to_vec())),
            None if optional => Ok(None),
            None => Err(self.no_key(source, key)),
        }
    }

    /// The object; none when it may be missing, and is. Other failures count even for optional ones, as otherwise a
    /// container would start with half of its environment.
    fn object(&self, source: &EnvSource, optional: bool) -> Result<Option<Object>, EnvError> {
        let fetched = match source {
            EnvSource::ConfigMap(name) => find(self.sources.config_maps, "configmap", name).map(Object::ConfigMap),
            EnvSource::Secret(name) => find(self.sources.secrets, "secret", name).map(Object::Secret),
        };
        match fetched {
            Ok(object) => Ok(Some(object)),
            Err(ObjectError::NotFound { .. }) if optional => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn no_key(&self, source: &EnvSource, key: &str) -> EnvError {
        let (kind, name) = match source {
            EnvSource::ConfigMap(name) => ("ConfigMap", name),
            EnvSource::Secret(name) => ("Secret", name),
        };
        let namespace = self.desired.pod.namespace.clone();
        EnvError::NoKey { key: key.to_owned(), kind, namespace, name: name.clone() }
    }

    fn insert(&mut self, name: String, value: &[u8]) -> Result<(), EnvError> {
        self.bytes = self.bytes.saturating_add(name.len()).saturating_add(value.len());
        if self.bytes > MAX_BYTES {
            return Err(self.too_large());
        }
        match std::str::from_utf8(value) {
            Ok(text) if !text.contains('\0') => {
                self.vars.insert(name, text.to_owned());
                Ok(())
            }
            _ => Err(EnvError::NotText(name)),
        }
    }

    fn too_large(&self) -> EnvError {
        EnvError::TooLarge(self.container.name.clone())
    }

    pub(super) fn finish(self) -> Environment {
        // A pod in the host's network has the host's name.
        let network_of_host = self.desired.host_network;
        let hostname = if network_of_host { self.desired.node_name.clone() } else { self.desired.hostname() };
        // `services` first: what the container declares takes their place.
        let mut vars = self.services;
        vars.extend(self.vars);
        Environment { container: self.container.name.clone(), hostname, vars }
    }
}
