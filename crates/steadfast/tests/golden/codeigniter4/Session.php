<?php

// What Steadfast's tests read in place of a site's own file: its shape and names are CodeIgniter 4's, the
// comments and some values are ours.

namespace Config;

use CodeIgniter\Config\BaseConfig;
use CodeIgniter\Session\Handlers\BaseHandler;
use CodeIgniter\Session\Handlers\FileHandler;

class Session extends BaseConfig
{
    /**
     * Who keeps the records. A semicolon; and a $variable = 'in a comment' change nothing.
     *
     * @var class-string<BaseHandler>
     */
    public string $driver = FileHandler::class;

    /**
     * Name of the cookie.
     */
    public string $cookieName = 'ci_session';

    /**
     * Four hours, as a product.
     */
    public int $expiration = 60 * 60 * 4;

    /**
     * Folder, table or server.
     */
    public string $savePath = WRITEPATH . 'session';

    /**
     * Whether the address counts.
     */
    public bool $matchIP = false;

    /**
     * Age of an id.
     */
    public int $timeToUpdate = 300;

    /**
     * Whether the old record goes at once.
     */
    public bool $regenerateDestroy = false;

    /**
     * Group of the table.
     */
    public ?string $DBGroup = null;

    /**
     * Microseconds.
     */
    public int $lockRetryInterval = 100_000;

    /*
     * Tries.
     *
     *
     *
     *
     */
    public int $lockMaxRetries = 300;

    public function __construct()
    {
        parent::__construct();

        if (ENVIRONMENT === 'testing') {
            // Nobody can tell from here.
            $this->timeToUpdate = 0;
        }
    }
}
