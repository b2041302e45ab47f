<?php
defined('BASEPATH') OR exit('No direct access');

// What Steadfast's tests read in place of a site's own file: the names are CodeIgniter 3's, the rest is ours.

$config['base_url'] = 'https://shop.example/';
$config['proxy_ips'] = '';

$config['sess_driver'] = 'files';
$config['sess_cookie_name'] = 'ci_session';
$config['sess_samesite'] = 'Lax';
$config['sess_expiration'] = 7200;
$config['sess_save_path'] = NULL;
$config['sess_match_ip'] = TRUE;
$config['sess_time_to_update'] = 0;
$config['sess_regenerate_destroy'] = TRUE;

$config['cookie_prefix'] = 'x';
$config['cookie_domain'] = '';
$config['cookie_path'] = '/';
$config['cookie_secure'] = FALSE;
$config['cookie_httponly'] = FALSE;

// What is said last counts.
$config['sess_cookie_name'] = 'shop_session';
if (ENVIRONMENT === 'development') {
	$config['sess_expiration'] = 60;
}
$config['sess_driver'] = 'database';
$config['sess_save_path'] = 'ci_sessions';
