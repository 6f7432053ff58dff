//! Whether a field asks for anything: the API server fills in defaults, and a default is no wish.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// A value that may or may not ask for something.
pub(super) trait Present {
    /// Whether it asks for something.
    fn present(&self) -> bool;
}

impl<T: Present> Present for Option<T> {
    fn present(&self) -> bool {
        self.as_ref().is_some_and(Present::present)
    }
}

impl<T> Present for Vec<T> {
    fn present(&self) -> bool {
        !self.is_empty()
    }
}

impl<K, V> Present for BTreeMap<K, V> {
    fn present(&self) -> bool {
        !self.is_empty()
    }
}

impl Present for String {
    fn present(&self) -> bool {
        !self.is_empty()
    }
}

impl Present for bool {
    fn present(&self) -> bool {
        *self
    }
}

/// Of the numbers asked about here, 0 is "none" (a host port).
impl Present for i32 {
    fn present(&self) -> bool {
        *self != 0
    }
}

/// Deadlines: every number asks for one.
impl Present for i64 {
    fn present(&self) -> bool {
        true
    }
}

/// Of the quantities asked about here, 0 is "no limit".
impl Present for Quantity {
    fn present(&self) -> bool {
        self.0 != "0"
    }
}

macro_rules! when_not_default {
    ($($type:ident)+) => {
        $(impl Present for v1::$type {
            fn present(&self) -> bool {
                *self != Self::default()
            }
        })+
    };
}

when_not_default!(Lifecycle PodDNSConfig Probe WindowsSecurityContextOptions);

impl Present for v1::FileKeySelector {
    fn present(&self) -> bool {
        true
    }
}
