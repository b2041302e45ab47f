<?php

// The same for the cookie. Ours but for the names.

namespace Config;

use CodeIgniter\Config\BaseConfig;
use DateTimeInterface;

class Cookie extends BaseConfig
{
    public string $prefix = '';

    /**
     * @var DateTimeInterface|int|string
     */
    public $expires = 0;

    public string $path = '/';

    /**
     * Not a literal, so listed.
     */
    public string $domain = MY_DOMAIN;

    public bool $secure = false;

    public bool $httponly = true;

    /**
     * @var ''|'Lax'|'None'|'Strict'
     */
    public string $samesite = 'Lax';

    public bool $raw = false;
}
