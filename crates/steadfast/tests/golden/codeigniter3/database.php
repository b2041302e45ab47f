<?php

// The connection of `config.php` beside it. Ours but for the names.

$active_group = 'default';
$query_builder = TRUE;

$db['default'] = array(
	'dsn'      => '',
	'hostname' => '127.0.0.1',
	'username' => 'shop',
	'password' => 'hush',
	'database' => 'shop',
	'dbdriver' => 'mysqli',
	'dbprefix' => '',
	'pconnect' => FALSE,
	'encrypt'  => FALSE,
	'failover' => array(),
);
