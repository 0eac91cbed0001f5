package main

import _ "time/tzdata" // an image from scratch has no zone files: TZ works in it
