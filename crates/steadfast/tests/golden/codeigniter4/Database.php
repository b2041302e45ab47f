<?php

// Two groups of connections. Ours but for the names.

namespace Config;

use CodeIgniter\Database\Config;

class Database extends Config
{
    public string $filesPath = APPPATH . 'Database' . DIRECTORY_SEPARATOR;

    public string $defaultGroup = 'default';

    /**
     * @var array<string, mixed>
     */
    public array $default = [
        'DSN'        => '',
        'hostname'   => 'db.internal',
        'username'   => 'shop',
        'password'   => DB_PASSWORD,
        'database'   => 'shop',
        'DBDriver'   => 'MySQLi',
        'DBPrefix'   => '',
        'pConnect'   => false,
        'encrypt'    => false,
        'failover'   => [],
        'port'       => 3306,
        'dateFormat' => [
            'date' => 'Y-m-d',
        ],
    ];

    public array $accounts = [
        'hostname' => 'pg',
        'username' => 'acc',
        'password' => '',
        'database' => 'accounts',
        'schema'   => 'web',
        'DBDriver' => 'Postgre',
        'DBPrefix' => 'x_',
    ];

    public function __construct()
    {
        parent::__construct();

        if (ENVIRONMENT === 'testing') {
            $this->defaultGroup = 'accounts';
        }
    }
}
