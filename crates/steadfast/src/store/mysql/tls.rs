//! TLS to the server: whom to trust, and who we are.

use std::fs;
use std::path::{Path, PathBuf};

use mysql_async::{ClientIdentity, SslOpts};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::{Error, Result};

use super::error::config_fault;

/// Which certificates are taken and shown. A server's is always checked, against the name of the host too.
#[derive(Clone, Default, Debug)]
pub(super) struct Tls {
    /// The authorities to trust; without it, those that browsers trust.
    pub(super) ca: Option<PathBuf>,
    /// Certificate and key to show to the server.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Reads the files, so that what is wrong with them is told at start.
    pub(super) fn load(&self) -> Result<SslOpts> {
        // The client library takes whatever the process has chosen, and panics if nobody has.
        if CryptoProvider::get_default().is_none() {
            // An error says that somebody else was faster.
            let _ = ring::default_provider().install_default();
        }
        let mut opts = SslOpts::default();
        if let Some(path) = &self.ca {
            let pem = certificates(path, "the authorities' file")?;
            opts = opts.with_disable_built_in_roots(true).with_root_certs(vec![pem.into()]);
        }
        if let Some((certificate, key)) = &self.identity {
            let certificate = certificates(certificate, "the certificate's file")?;
            let key = read(key, "the key's file")?;
            opts = opts.with_client_identity(Some(ClientIdentity::new(certificate.into(), key.into())));
        }
        Ok(opts)
    }
}

/// Reads a PEM file with at least one certificate.
fn certificates(path: &Path, what: &str) -> Result<Vec<u8>> {
    let pem = read(path, what)?;
    match CertificateDer::pem_slice_iter(&pem).next() {
        Some(Ok(_)) => Ok(pem),
        Some(Err(_)) | None => Err(config_fault(format!("TLS: {what} has no certificate in PEM form"))),
    }
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>> {
    fs::read(path)
        .map_err(|error| -> Error { config_fault(format!("TLS: cannot read {what}")).with_source(error) })
}
