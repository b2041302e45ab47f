<?php

namespace Config;

class Paths
{
    public string $systemDirectory = __DIR__ . '/../../vendor/framework/system';

    public string $writableDirectory = __DIR__ . '/../../writable';
}
