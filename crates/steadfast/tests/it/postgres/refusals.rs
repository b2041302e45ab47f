//! What is refused at start, and what is said about it.

use std::error::Error as StdError;

use steadfast::store::postgres::{Clients, PostgresStore};
use steadfast::{ErrorKind, Sessions};
use steadfast_servers::{Options, PgBouncer, Postgres, Server as _};
use tokio_postgres::{Client, NoTls};

use super::fixture::{KEY, Table, assert_says, create, is_there};
use crate::servers;

#[tokio::test]
async fn a_missing_table_is_not_created_behind_anybodys_back() {
    let table = Table::missing();
    for options in [table.options(), table.options_of_the_pooler()] {
        let error = options.open().await.unwrap_err();
        assert_says(&error, ErrorKind::InvalidConfig, "PostgresOptions::ddl");
    }
    let sql = format!("SELECT to_regclass('{}') IS NULL", table.name);
    assert!(table.client().await.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test]
async fn a_connection_string_may_ask_for_the_tables() {
    let table = Table::missing();
    let dsn = format!("{}?table={}&connections=1", servers::dsn("POSTGRES"), table.name);
    let error = Sessions::connect(&dsn).await.unwrap_err();
    assert_says(&error, ErrorKind::InvalidConfig, "create=true");
    Sessions::connect(&format!("{dsn}&create=true")).await.unwrap();
    Sessions::connect(&dsn).await.unwrap();
}

#[tokio::test]
async fn tables_that_an_operator_made_from_the_printed_statements_are_used() {
    let table = Table::missing();
    table.client().await.batch_execute(&table.options().ddl().unwrap()).await.unwrap();
    create(&table.open().await, &KEY).await;
}

#[tokio::test]
async fn many_nodes_may_create_the_tables_at_once() {
    let table = Table::missing();
    let creating = (0..8).map(|_| {
        let options = table.options();
        tokio::spawn(async move { options.create().await })
    });
    for created in creating.collect::<Vec<_>>() {
        created.await.unwrap().unwrap();
    }
    create(&table.open().await, &KEY).await;
}

#[tokio::test]
async fn creating_again_leaves_the_records_alone() {
    let table = Table::new().await;
    let store = table.open().await;
    create(&store, &KEY).await;
    table.options().create().await.unwrap();
    assert!(is_there(&store, &KEY).await);
}

#[tokio::test]
async fn a_table_of_somebody_else_is_left_as_it_is() {
    let table = Table::missing();
    table.client().await.batch_execute(&format!("CREATE TABLE {} (id integer)", table.name)).await.unwrap();
    for refused in [table.options().create().await.unwrap_err(), table.options().open().await.unwrap_err()] {
        assert_says(&refused, ErrorKind::InvalidConfig, "not one of Steadfast's");
    }
}

#[tokio::test]
async fn a_table_of_a_newer_version_is_left_as_it_is() {
    let table = Table::new().await;
    let sql = format!("COMMENT ON TABLE {} IS 'Steadfast sessions, schema 2'", table.name);
    table.client().await.batch_execute(&sql).await.unwrap();
    for refused in [table.options().create().await.unwrap_err(), table.options().open().await.unwrap_err()] {
        assert_says(&refused, ErrorKind::NewerFormat, "upgrade this node");
    }
}

#[tokio::test]
async fn a_user_without_rights_is_told_what_to_grant() {
    let table = Table::new().await;
    let (client, user) = (table.client().await, format!("u_{}", table.name));
    client.batch_execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'x'")).await.unwrap();
    let options = table.options().user(&user).password("x");
    assert_says(&options.open().await.unwrap_err(), ErrorKind::InvalidConfig, "GRANT SELECT");
    let creating = options.clone().table(format!("{}x", table.name)).create().await.unwrap_err();
    assert_says(&creating, ErrorKind::InvalidConfig, "CREATE on the schema");
    let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {user}", table.name);
    client.batch_execute(&grant).await.unwrap();
    create(&options.open().await.unwrap(), &KEY).await;
    client.batch_execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await.unwrap();
}

#[tokio::test]
async fn wrong_users_passwords_databases_and_schemas_are_wrong_settings() {
    let options = Table::missing().options();
    for (options, words) in [
        (options.clone().password("wrong"), "check user, password"),
        (options.clone().user("nobody-at-all"), "check user, password"),
        (options.clone().database("nowhere"), "no such database"),
    ] {
        let error = options.open().await.unwrap_err();
        assert_says(&error, ErrorKind::InvalidConfig, words);
        assert!(!format!("{error:?}").contains("not-so-secret"));
    }
    let error = options.schema("nowhere").create().await.unwrap_err();
    assert_says(&error, ErrorKind::InvalidConfig, "CREATE SCHEMA");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let port = steadfast_servers::free_port();
    let error = PostgresStore::options().server("127.0.0.1", port).open().await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, "look whether the server runs");
}

#[tokio::test]
async fn a_database_that_is_read_only_is_unavailable() {
    let table = Table::new().await;
    let (client, user) = (table.client().await, format!("u_{}", table.name));
    let sql = format!(
        "CREATE ROLE {user} SUPERUSER LOGIN PASSWORD 'x'; ALTER ROLE {user} SET default_transaction_read_only = on"
    );
    client.batch_execute(&sql).await.unwrap();
    let error = table.options().user(&user).password("x").open().await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, "name the primary");
    client.batch_execute(&format!("DROP ROLE {user}")).await.unwrap();
}

#[tokio::test]
async fn prepared_statements_behind_a_pooler_are_refused_with_the_right_setting() {
    let table = Table::new().await;
    let error = table.options_of_the_pooler().prepared(true).open().await.unwrap_err();
    assert_says(&error, ErrorKind::InvalidConfig, "prepared=false");
}

#[tokio::test]
async fn a_pooler_that_swallows_the_settings_of_a_session_is_refused_too() {
    let server = Postgres::start().unwrap();
    let options = Options::new().set("ignore_startup_parameters = options");
    let pooler = PgBouncer::start_with(&server, &options).unwrap();
    let table = Table::on(&server.dsn()).await;
    let error = table.options_by(&pooler.dsn()).open().await.unwrap_err();
    assert_says(&error, ErrorKind::InvalidConfig, "prepared=false");
    create(&table.options_by(&pooler.dsn()).prepared(false).open().await.unwrap(), &KEY).await;
}

/// Connections that the application makes.
struct Own(tokio_postgres::Config);

impl Clients for Own {
    type Client = Client;

    async fn get(&self) -> Result<Client, Box<dyn StdError + Send + Sync>> {
        let (client, connection) = self.0.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn client(held: &Client) -> &Client {
        held
    }
}

#[tokio::test]
async fn connections_of_the_applications_own_are_used() {
    let table = Table::new().await;
    let mut config: tokio_postgres::Config = servers::dsn("POSTGRES").parse().unwrap();
    let store = table.options().open_with(Own(config.clone())).await.unwrap();
    create(&store, &KEY).await;
    assert!(is_there(&table.open().await, &KEY).await);
    let error = table.options().open_with(Own(config.port(1).clone())).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, "handed out no connection");
}
