//! Whom a driver trusts when it speaks TLS to its server.

use std::path::PathBuf;

/// Whether a driver encrypts its connections, and whose certificates it accepts.
///
/// The host in the connection string must be in the server's certificate. There is no way to accept any
/// certificate.
///
/// # Examples
///
/// ```
/// use steadfast::store::Tls;
///
/// let tls = Tls::PrivateCa("/etc/ssl/db-ca.pem".into());
/// assert_ne!(tls, Tls::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tls {
    /// No encryption: for this machine, or a network that you trust. The default.
    #[default]
    Off,
    /// A certificate of one of the public authorities of the web. `tls=on`.
    PublicCa,
    /// A certificate of an authority of your own, whose certificates are in this PEM file. `tls_ca=FILE`.
    PrivateCa(PathBuf),
}

#[cfg(all(feature = "tls", any(feature = "mysql", feature = "postgres")))]
mod client {
    use std::path::Path;
    use std::sync::Arc;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::{ClientConfig, RootCertStore};

    use super::Tls;
    use crate::error::{Error, ErrorKind, Result};

    impl Tls {
        /// Returns the settings of a client, or none if it is not to encrypt.
        ///
        /// # Errors
        ///
        /// `InvalidConfig` if the file can't be read or holds no certificate.
        pub(in crate::store) fn client_config(&self) -> Result<Option<Arc<ClientConfig>>> {
            let roots = match self {
                Self::Off => return Ok(None),
                Self::PublicCa => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
                Self::PrivateCa(file) => read(file)?,
            };
            // Named here, because an application may have none installed, or another one.
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("the provider supports TLS 1.2 and 1.3")
                .with_root_certificates(roots)
                .with_no_client_auth();
            Ok(Some(Arc::new(config)))
        }
    }

    fn read(file: &Path) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
        for certificate in certificates {
            roots.add(certificate.map_err(unreadable)?).map_err(unreadable)?;
        }
        if roots.is_empty() {
            return Err(Error::new(ErrorKind::InvalidConfig, "the file of `tls_ca` holds no certificate"));
        }
        Ok(roots)
    }

    fn unreadable(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        let message = "the file of `tls_ca` is no PEM file of certificates that this user can read";
        Error::new(ErrorKind::InvalidConfig, message).with_source(cause)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[track_caller]
        fn check(contents: &str, says: &str) {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("ca.pem");
            std::fs::write(&file, contents).unwrap();
            let error = Tls::PrivateCa(file).client_config().unwrap_err();
            assert_eq!((error.kind(), error.to_string().contains(says)), (ErrorKind::InvalidConfig, true));
        }

        #[test]
        fn a_file_without_certificates_is_refused() {
            check("", "holds no certificate");
            check("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no PEM file");
            assert!(Tls::PrivateCa("/nowhere.pem".into()).client_config().is_err());
        }

        #[test]
        fn the_public_authorities_are_built_in() {
            assert!(Tls::PublicCa.client_config().unwrap().is_some());
            assert!(Tls::Off.client_config().unwrap().is_none());
        }
    }
}
