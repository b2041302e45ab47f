//! TLS with an authority of one's own.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use steadfast::ErrorKind;
use steadfast::store::Tls;
use steadfast_servers::{Options, Postgres, Server as _};
use tempfile::TempDir;

use super::fixture::{KEY, assert_says, create, options_of};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn write(dir: &TempDir, name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> PathBuf {
    let file = dir.path().join(name);
    std::fs::write(&file, authority.pem()).unwrap();
    file
}

#[tokio::test]
async fn a_private_authority_is_trusted_and_another_one_is_not() {
    let (ours, theirs, dir) = (authority(), authority(), tempfile::tempdir().unwrap());
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
    let options = Options::new()
        .file("cert.pem", certificate.pem())
        .file("key.pem", key.serialize_pem())
        .set("ssl=on")
        .set("ssl_cert_file={folder}/cert.pem")
        .set("ssl_key_file={folder}/key.pem");
    let server = Postgres::start_with(&options).unwrap();
    let config: tokio_postgres::Config = server.dsn().parse().unwrap();
    let named = |host: &str| {
        let dsn = server.dsn().replace("127.0.0.1", host);
        options_of(&dsn.parse().unwrap()).connections(1)
    };
    options_of(&config).create().await.unwrap();

    let ca = write(&dir, "ours.pem", &ours);
    let store = named("localhost").tls(Tls::PrivateCa(ca.clone())).open().await.unwrap();
    create(&store, &KEY).await;

    let not_trusted = [
        named("localhost").tls(Tls::PrivateCa(write(&dir, "theirs.pem", &theirs))),
        named("localhost").tls(Tls::PublicCa),
        // The certificate is for `localhost`.
        named("127.0.0.1").tls(Tls::PrivateCa(ca)),
    ];
    for options in not_trusted {
        assert_says(&options.open().await.unwrap_err(), ErrorKind::InvalidConfig, "tls_ca");
    }
    let unreadable = named("localhost").tls(Tls::PrivateCa("/nowhere.pem".into()));
    assert_says(&unreadable.open().await.unwrap_err(), ErrorKind::InvalidConfig, "tls_ca");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_if_it_was_asked_for() {
    let config: tokio_postgres::Config = crate::servers::dsn("POSTGRES").parse().unwrap();
    let error = options_of(&config).tls(Tls::PublicCa).open().await.unwrap_err();
    assert_says(&error, ErrorKind::InvalidConfig, "does not support TLS");
}
