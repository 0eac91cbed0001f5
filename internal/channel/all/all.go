// Package all lists the drivers of this build, one line each. Adding a platform is a package and a line here.
package all

import (
	"piaohao/internal/channel"
	"piaohao/internal/channel/alipay"
	"piaohao/internal/channel/wechatv2"
	"piaohao/internal/channel/wechatv3"
)

// Drivers in the order in which methods are offered; of one method, the first configured one takes new attempts.
var Drivers = []channel.Driver{
	wechatv3.Driver,
	wechatv2.Driver,
	alipay.Driver,
}
