package gateway

import "piaohao/internal/channel"

// Reply is what a platform is answered; the web rooms name it without importing channel.
type Reply = channel.Reply
