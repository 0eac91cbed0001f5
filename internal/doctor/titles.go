package doctor

// titles are the headlines of findings in Chinese, by code: those of this package, of config and of the drivers.
var titles = map[string]string{
	"mode": "模式", "no_start": "无法启动", "env_file": "配置文件", "unreadable": "无法读取",
	"env_file_mode": ".env 权限过宽", "env_file_owner": ".env 属于别的用户",
	"data_dir": "数据目录不可用", "data_dir_mode": "数据目录权限过宽", "database": "数据库", "database_mode": "数据库属于另一模式",
	"log_dir": "日志目录不可写", "trusted_proxies": "信任的代理范围过宽", "clock": "系统时间",
	"played": "模拟平台", "not_offered": "未启用", "no_webhook": "没有商户通知地址", "webhook_plain": "商户通知未用 HTTPS",

	"missing": "没有填写", "invalid": "写法不对", "unknown": "没有这个设置", "duplicate": "重复设置", "both": "两处同时设置",
	"encoding": "文件编码不对", "too_large": "内容过长", "too_many": "内容过多", "file": "文件无法使用", "unused": "设置没有作用",
	"mixed": "测试与正式混用", "test_only": "只用于测试模式", "simulator": "模拟平台的号码",
	"published": "公开示例中的密钥", "published_key": "公开示例中的密钥", "weak": "密钥过于简单", "weak_key": "密钥过于简单",
	"swapped": "填错了位置", "form": "格式不对", "length": "长度不对", "space": "含有空格或不可见字符", "unusual": "不太常见",
	"app_id": "AppID", "merchant_number": "商户号", "api_v3_key": "APIv3 密钥", "api_v2": "APIv2 密钥", "sign_type": "签名类型",
	"key": "密钥", "private_key": "私钥", "public_key": "公钥", "key_mode": "密钥模式", "expired": "已过期", "expires_soon": "即将过期",
	"certificate": "商户证书", "merchant_key": "商户密钥", "public_key_id": "平台公钥 ID", "serial": "证书序列号", "dates": "证书有效期",
	"key_mismatch": "私钥与证书不匹配", "serial_mismatch": "序列号与证书不匹配", "p12_password": "p12 密码不对",
	"no_certificate": "没有商户证书，不能退款", "other_merchant": "证书属于其他商户",
	"root_certificate": "根证书", "seller_id": "商户 PID", "seller_open": "商户 PID 未填", "malformed": "格式不对", "wrong_kind": "密钥种类不对",
	"root_as_certificate": "填成了根证书", "certificate_as_key": "填成了证书", "own_certificate": "填成了自己的证书",
	"untrusted_certificate": "证书不可信", "not_yet_valid": "证书尚未生效", "not_root": "不是根证书", "other_root": "其他根证书",
	"other_key": "密钥与证书不匹配", "other_app": "证书属于其他应用", "two_modes": "两种模式混用", "sandbox_app": "沙箱应用",
	"seller_as_app_id": "填成了商户 PID", "app_as_seller_id": "填成了 APPID", "private_key_shown": "私钥放错位置", "simulated": "模拟平台的号码",
	"key_kind": "密钥种类不对", "key_short": "密钥太短", "key_unreadable": "密钥无法识别", "own_public_key": "填成了自己的公钥",

	"in_use": "收款账户", "read_only": "只处理已有订单", "shelved": "本模式不使用",
	"offered": "可用产品", "by_name": "指定时可用", "left_out": "未提供", "no_phone": "手机上不可用", "no_desktop": "电脑上不可用",

	"notify_url": "回调地址", "query": "回调地址带参数", "path": "回调路径不对", "notify_origin": "回调域名不一致",
	"placeholder": "还是示例内容", "private": "外网无法访问", "http": "必须使用 HTTPS", "tunnel": "临时隧道域名",
	"public_url": "公网地址", "return_inner": "返回地址在本机", "return_plain": "返回地址未用 HTTPS",

	"proven": "密钥已验证", "not_provable": "无法在线验证", "not_proven": "未能验证", "not_asked": "未向平台求证",
	"unusable": "账户不可用", "strange_answer": "平台回答异常", "query_failed": "平台没有给出结果",
	"limited": "平台限流", "serial_refused": "证书序列号不对", "merchant_unknown": "商户号不对", "app_not_bound": "AppID 未绑定商户号",
	"app_unknown": "APPID 不对", "needs_certificates": "证书模式不一致", "certificate_mode": "证书模式", "no_key_uploaded": "平台没有应用公钥",
	"key_refused": "签名被平台拒绝", "no_permission": "没有产品权限", "platform_trouble": "平台系统繁忙",
	"needs_public_key": "须改用微信支付公钥", "api_v3_key_wrong": "APIv3 密钥不对",
	"answer_other_key": "平台公钥 ID 不对", "answer_unverified": "平台公钥不对",
	"platform_dns": "平台域名无法解析", "platform_timeout": "平台连接超时", "platform_unreachable": "无法连接平台",
	"platform_tls_name": "平台证书不符", "platform_tls_expired": "平台证书过期", "platform_tls_chain": "平台证书不可信",
	"platform_tls_untrusted": "平台证书不可信", "platform_tls_none": "平台连接不是 TLS",

	"public_answers": "公网可以访问", "notify_answers": "回调可以到达", "other_mode": "运行模式不一致",
	"redirected": "地址发生跳转", "bad_gateway": "代理后面没有服务", "foreign_page": "被其他网页占用", "foreign_answer": "被其他程序占用",
	"public_dns": "域名无法解析", "public_timeout": "外网访问超时", "public_unreachable": "外网无法连接", "public_tls_none": "没有 TLS",
	"public_tls_name": "证书域名不符", "public_tls_expired": "证书已过期", "public_tls_chain": "证书链不完整", "public_tls_untrusted": "证书不可信",
	"notify_dns": "回调域名无法解析", "notify_timeout": "回调访问超时", "notify_unreachable": "回调无法连接", "notify_tls_none": "没有 TLS",
	"notify_tls_name": "证书域名不符", "notify_tls_expired": "证书已过期", "notify_tls_chain": "证书链不完整", "notify_tls_untrusted": "证书不可信",
	"tls_expiring": "证书即将过期",
}
