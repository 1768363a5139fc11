"""Agents: bots and their kinds, browsers, systems and devices, and that nothing else of a user agent is kept."""

import time

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.agent import LONGEST_AGENT, Agent, read_agent

KINDS = {"search", "ai-training", "ai-assistant", "monitoring", "feed", "library", "other"}

# Browsers as people use them: Chrome, Edge, Firefox, Safari, Opera, Samsung, Brave, Vivaldi, UC, Yandex and others, in apps,
# on computers, telephones, tablets, television sets, consoles and older machines.
BROWSERS = """
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36
Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36
Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36
Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36
Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36
Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.6613.127 Mobile Safari/537.36
Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.210 Safari/537.36
Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1
Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0
Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.2903.86
Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.7444.48 Mobile Safari/537.36 EdgA/142.0.3595.53
Mozilla/5.0 (iPhone; CPU iPhone OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/131.2903.92 Mobile/15E148 Safari/605.1.15
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763
Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0
Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:143.0) Gecko/20100101 Firefox/143.0
Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0
Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0
Mozilla/5.0 (Android 14; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0
Mozilla/5.0 (Android 13; Tablet; rv:109.0) Gecko/117.0 Firefox/117.0
Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/127.0 Mobile/15E148 Safari/605.1.15
Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/120.0 Mobile/15E148 Safari/605.1.15
Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15
Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_6) AppleWebKit/601.7.7 (KHTML, like Gecko) Version/9.1.2 Safari/601.7.7
Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1
Mozilla/5.0 (iPhone; CPU iPhone OS 12_5_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1
Mozilla/5.0 (iPad; CPU OS 15_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6.7 Mobile/15E148 Safari/604.1
Mozilla/5.0 (iPod touch; CPU iPhone OS 12_0 like Mac OS X) AppleWebKit/604.1.34 (KHTML, like Gecko) Version/11.0 Mobile/15A5341f Safari/604.1
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36 OPR/119.0.0.0
Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18
Opera/9.80 (J2ME/MIDP; Opera Mini/9.80 (S60; SymbOS; Opera Mobi/23.348; U; en) Presto/2.5.25 Version/10.54
Mozilla/5.0 (Linux; Android 10; VOG-L29) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.7103.60 Mobile Safari/537.36 OPR/76.2.4027.73374
Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36
Mozilla/5.0 (Linux; Android 12; SAMSUNG SM-T870) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/19.0 Chrome/102.0.5005.125 Safari/537.36
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/104.0.5112.81 Safari/537.36 Brave/104
Mozilla/5.0 (Windows NT 10.0; WOW64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.6998.166 Safari/537.36 Vivaldi/7.3.3635.9
Mozilla/5.0 (Linux; U; Android 11; en-US; RMX2185) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.58 UCBrowser/13.6.2.1316 Mobile Safari/537.36
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 YaBrowser/24.10.0.0 Safari/537.36
Mozilla/5.0 (Linux; arm_64; Android 12; CPH2205) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.6998.135 YaBrowser/25.4.3.135.00 SA/3 Mobile Safari/537.36
Mozilla/5.0 (Linux; U; Android 12; zh-cn; M2012K11AC Build/SKQ1.211006.001) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.127 Mobile Safari/537.36 XiaoMi/MiuiBrowser/17.3.80
Mozilla/5.0 (Linux; Android 12; ELS-NX9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.5735.196 HuaweiBrowser/15.0.4.312 Mobile Safari/537.36
Mozilla/5.0 (Linux; Android 13; SM-G991B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.6367.82 Mobile Safari/537.36 DuckDuckGo/5
Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko
Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15 Epiphany/605.1.15
Mozilla/5.0 (X11; U; Linux x86_64; en-US) AppleWebKit/537.36 (KHTML, like Gecko) konqueror/5.0.97 Safari/537.36
Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 [FBAN/FBIOS;FBAV/464.0.0.36.109;FBBV/597034126;FBDV/iPhone15,2;FBMD/iPhone;FBSN/iOS;FBSV/17.4.1;FBSS/3;FBID/phone;FBLC/da_DK;FBOP/5]
Mozilla/5.0 (Linux; Android 13; SM-A536B Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/123.0.6312.40 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/456.0.0.48.88;]
Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E219 Instagram 325.0.3.34.90 (iPhone14,5; iOS 17_4; en_GB; en-GB; scale=3.00; 1170x2532; 585806270)
Mozilla/5.0 (Linux; Android 12; Redmi Note 9 Pro Build/SKQ1.211019.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/122.0.6261.119 Mobile Safari/537.36 Instagram 321.0.0.39.106 Android (31/12; 440dpi; 1080x2179; Xiaomi)
Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.38(0x1800262c) NetType/WIFI Language/zh_CN
Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 musical_ly_33.2.0 BytedanceWebview/d8a21c6
Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [LinkedInApp]/9.29.2586
Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/300.0.598994205 Mobile/15E148 Safari/604.1
Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/4.0 Chrome/76.0.3809.146 TV Safari/537.36
Mozilla/5.0 (Linux; Android 9; BRAVIA 4K UR2 Build/PTT1.190515.001.S104) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/80.0.3987.119 Safari/537.36
Mozilla/5.0 (Linux; Android 9; AFTSSS Build/PS7299.3132N; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/118.0.0.0 Mobile Safari/537.36
Mozilla/5.0 (PlayStation; PlayStation 5/6.00) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari/605.1.15
Mozilla/5.0 (PlayStation 4 11.00) AppleWebKit/605.1.15 (KHTML, like Gecko)
Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36 Edge/44.18363.8131
Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/606.4 (KHTML, like Gecko) NF/6.0.1.15.4 NintendoBrowser/5.1.0.20393
Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/86.0.4240.198 Safari/537.36 CrKey/1.56.500000
Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/108.4.6 like Chrome/108.0.5359.160 Safari/537.36
Mozilla/5.0 (X11; Linux armv7l like Android; Kindle) AppleWebKit/531.2+ (KHTML, like Gecko) Version/5.0 Safari/533.2+ Kindle/3.0+
Mozilla/5.0 (X11; FreeBSD amd64; rv:120.0) Gecko/20100101 Firefox/120.0
Mozilla/5.0 (X11; OpenBSD amd64; rv:121.0) Gecko/20100101 Firefox/121.0
Mozilla/5.0 (Mobile; Nokia_8110_4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5
Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15254
Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:102.0) Gecko/20100101 Firefox/102.0 Waterfox/102.0
Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0
Mozilla/5.0 (X11; Linux x86_64; rv:52.9) Gecko/20100101 Goanna/4.8 Firefox/52.9 PaleMoon/29.4.0
Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36 Arc/1.58
Mozilla/5.0 (Linux; Android 11; CUBOT X50) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Mobile Safari/537.36
Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Snapchat/12.88.0.33 (like Safari/8617.2.4.10.8, panda)
Mozilla/5.0 (Linux; Android 14; Pixel 7 Build/UQ1A.240205.002; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/121.0.6167.178 Mobile Safari/537.36 [Pinterest/Android]
Mozilla/5.0 (iPhone; CPU iPhone OS 18_3_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3.1 Mobile/15E148 Safari/604.1 Ddg/18.3
Mozilla/5.0 (iPhone; CPU iPhone OS 10_3 like Mac OS X) AppleWebKit/602.1.50 (KHTML, like Gecko) CriOS/56.0.2924.75 Mobile/14E5239e Safari/602.1
Mozilla/5.0 (Linux; Android 4.4.2; Nexus 7 Build/KOT49H) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/33.0.1750.166 Safari/537.36
Mozilla/5.0 (BB10; Touch) AppleWebKit/537.10+ (KHTML, like Gecko) Version/10.0.9.2372 Mobile Safari/537.10+
Mozilla/5.0 (Linux; Android 15; SM-F946B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36
Mozilla/5.0 (Linux; U; Android 9; zh-cn; PBEM00 Build/PKQ1.190519.001) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/70.0.3538.80 Mobile Safari/537.36 HeyTapBrowser/10.7.4.2
Mozilla/5.0 (X11; U; Linux x86_64; en-US) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/30.0.1599.114 Safari/537.36 Puffin/4.8.0.2965AT
Mozilla/5.0 (Linux; U; Android 11; zh-cn; V2055A Build/RP1A.200720.012) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/89.0.4389.72 MQQBrowser/12.8 Mobile Safari/537.36 COVC/046031
Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.71 Safari/537.36 Core/1.94.201.400 QQBrowser/11.9.5325.400
Mozilla/5.0 (Linux; Android 10; SEA-AL10 Build/HUAWEISEA-AL10; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/76.0.3809.89 Mobile Safari/537.36 T7/12.5 SearchCraft/3.8.2 (Baidu; P1 10) baiduboxapp/12.5.0.10
Mozilla/5.0 (Linux; Android 12; V2148A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/87.0.4280.141 Mobile Safari/537.36 VivoBrowser/14.5.10.2
Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/14.8.0
Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 KAKAOTALK 10.7.0
Mozilla/5.0 (Linux; Android 13; SM-S908N Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/114.0.5735.131 Whale/1.0.0.0 Crosswalk/28.114.0.20 Mobile Safari/537.36 NAVER(inapp; search; 1010; 11.21.3)
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Whale/3.25.232.19 Safari/537.36
Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1 Ecosia ios@9.3.0.1785
Mozilla/5.0 (iPhone; CPU iPhone OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Mobile/15E148 Safari/604.1 BingSapphire/27.2.420327001
Mozilla/5.0 (Linux; Android 13; SM-A326B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/123.0.6312.99 Mobile Safari/537.36 GoogleApp/15.12.36
Mozilla/5.0 (Linux; Android 12; M2101K6G; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/122.0.6261.105 Mobile Safari/537.36 YandexSearch/24.24 YandexSearchBrowser/24.24
Mozilla/5.0 (iPhone; CPU iPhone OS 17_3_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 YaBrowser/24.1.5.10.10 SA/3 Mobile/15E148 Safari/604.1
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) coc_coc_browser/121.0.0 Chrome/115.0.0.0 Safari/537.36
Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:91.0) Gecko/20100101 Firefox/91.0 SeaMonkey/2.53.18
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Falkon/23.04.3 Chrome/87.0.4280.144 Safari/537.36
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) qutebrowser/3.1.0 QtWebEngine/6.6.1 Chrome/112.0.5615.213 Safari/537.36
Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Twitter for iPhone/10.36
Mozilla/5.0 (Linux; Android 13; Pixel 6 Build/TQ3A.230805.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0.6099.144 Mobile Safari/537.36 TwitterAndroid
Mozilla/5.0 (Linux; Android 11; Pixel 5 Build/RQ3A.210805.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/92.0.4515.159 Mobile Safari/537.36 Reddit/2023.10.0
Mozilla/5.0 (Linux; Android 14; SM-S911B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/122.0.6261.64 Mobile Safari/537.36 Viber/22.0.0
Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.36.140 Chrome/120.0.6099.216 Electron/28.1.3 Safari/537.36
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0 Safari/537.36 Maxthon/118.0
Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/86.0.4240.198 Safari/537.36 QIHU 360SE
Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/80.0.3987.87 Safari/537.36 SE 2.X MetaSr 1.0
Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/123.0.6312.52 Mobile/15E148 Safari/604.1 DaumApps/9.0
Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.79 Safari/537.36 DMOST/2.0.0 (; LGE; webOSTV; WEBOS6.0.0 03.10.15; W6_lm21a;)
Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/538.2 (KHTML, like Gecko) Large Screen Safari/538.2 LG Browser/8.00.00(LGE; 49UF8500-UB; 03.20.00; 1; DTV_W15H); webOS.TV-2015; LG NetCast.TV-2013 Compatible (LGE, 49UF8500-UB, wireless)
Mozilla/5.0 (Linux; NetCast; U) AppleWebKit/537.31 (KHTML, like Gecko) Chrome/38.0.2125.122 Safari/537.31 SmartTV/7.0
Mozilla/5.0 (SmartHub; SMART-TV; U; Linux/SmartTV; Maple2012) AppleWebKit/534.7 (KHTML, like Gecko) SmartTV Safari/534.7
Mozilla/5.0 (Linux; U; Android 4.2.2; en-us; AFTB Build/JDQ39) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30
Mozilla/5.0 (Linux; Andr0id 9; BRAVIA 4K UR2 Build/PTT1.190515.001.S104) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/80.0.3987.119 Safari/537.36 OPR/46.0.2207.0 OMI/4.13.5.431.DIA5HBBTV.250
HbbTV/1.5.1 (+DRM;Samsung;SmartTV2021;T-NKM2DEUC-1460.2;;) OsrTvViewer
Roku/DVP-12.5 (12.5.0.4178-88)
Mozilla/5.0 (Nintendo WiiU) AppleWebKit/536.30 (KHTML, like Gecko) NX/3.0.4.2.12 NintendoBrowser/4.3.1.11264.US
Mozilla/5.0 (PlayStation Vita 3.74) AppleWebKit/537.73 (KHTML, like Gecko) Silk/3.2
Mozilla/5.0 (Nintendo 3DS; U; ; en) Version/1.7630.EU
Mozilla/5.0 (Linux; Android 13; SM-R960) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.5845.164 Mobile Safari/537.36
Mozilla/5.0 (X11; Linux aarch64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88.0.4324.109 Safari/537.36 CrKey/1.54.248666
Mozilla/5.0 (Linux; Android 12; Quest 3) AppleWebKit/537.36 (KHTML, like Gecko) OculusBrowser/31.2.0.19.115 Chrome/120.0.6099.283 VR Safari/537.36
Mozilla/5.0 (Linux; Android 10; Tesla) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0 Safari/537.36
Mozilla/5.0 (X11; GNU/Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chromium/88.0.4324.150 Chrome/88.0.4324.150 Safari/537.36 Tesla/2021.44.25.2-TeslaAP
Mozilla/5.0 (compatible; MSIE 10.0; Windows Phone 8.0; Trident/6.0; IEMobile/10.0; ARM; Touch; NOKIA; Lumia 520)
Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; SLCC2; .NET CLR 2.0.50727)
Mozilla/5.0 (BlackBerry; U; BlackBerry 9900; en) AppleWebKit/534.11+ (KHTML, like Gecko) Version/7.1.0.346 Mobile Safari/534.11+
Nokia6100/1.0 (04.01) Profile/MIDP-1.0 Configuration/CLDC-1.0
Mozilla/5.0 (Linux; Android 11; moto g power (2022)) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Mobile Safari/537.36
Mozilla/5.0 (Linux; Android 13; CUBOT_X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Mobile Safari/537.36
Mozilla/5.0 (Linux; Android 9; CUBOT_P30 Build/PPR1.180610.011; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.127 Mobile Safari/537.36
Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Safari/605.1.15 Ddg/17.4.1
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 AVG/141.0
Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/120.2.1 like Chrome/120.0.6099.43 Safari/537.36
Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1 OPT/4.6.0
Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Brave/1.60 Version/17.0 Mobile/15E148 Safari/604.1
Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Comet/138
Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0 LibreWolf
Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager
Mozilla/5.0 (Linux; Android 10; ELE-AL00 Build/HUAWEIELE-AL00) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/83.0.4103.106 Mobile Safari/537.36 AWP/2.0 SogouMSE,SogouMobileBrowser/5.26.2
"""


def agent(user_agent: str) -> Agent:
    return read_agent(user_agent.encode())


# --- bots ------------------------------------------------------------------------------------------------------------------


def test_of_the_bots_in_a_list_that_others_labelled_98_percent_are_found():
    instances = {instance for crawler in CRAWLER_USER_AGENTS_DATA for instance in crawler["instances"]}
    assert len(instances) > 2000
    missed = [instance for instance in instances if not agent(instance).bot]
    assert len(missed) <= 0.02 * len(instances), missed


# Two of these `is-bot` alone takes for bots: LG's television sets ("WebAppManager") and Sogou's browser for telephones.
def test_of_real_browsers_at_most_one_in_200_is_flagged():
    browsers = BROWSERS.strip().splitlines()
    assert len(browsers) > 100
    flagged = [browser for browser in browsers if agent(browser).bot]
    assert len(flagged) <= 0.005 * len(browsers), flagged


def test_every_bot_is_of_one_of_seven_kinds():
    found = {agent(instance).bot for crawler in CRAWLER_USER_AGENTS_DATA for instance in crawler["instances"]}
    assert found - {""} == KINDS


COMPATIBLE = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; {})"
BOTS = {
    "search": [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
        "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
        "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
        "Mozilla/5.0 (compatible; SeznamBot/4.0; +http://napoveda.seznam.cz/seznambot-intro/)",
        "Mozilla/5.0 (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)",
    ],
    "ai-training": [
        COMPATIBLE.format("GPTBot/1.2; +https://openai.com/gptbot"),
        COMPATIBLE.format("ClaudeBot/1.0; +claudebot@anthropic.com"),
        "CCBot/2.0 (https://commoncrawl.org/faq/)",
        "Mozilla/5.0 (compatible; Bytespider; spider-feedback@bytedance.com)",
        "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
        "Mozilla/5.0 (compatible; Amazonbot/0.1; +https://developer.amazon.com/support/amazonbot)",
        "cohere-ai",
    ],
    "ai-assistant": [
        COMPATIBLE.format("ChatGPT-User/1.0; +https://openai.com/bot"),
        COMPATIBLE.format("OAI-SearchBot/1.0; +https://openai.com/searchbot"),
        COMPATIBLE.format("Perplexity-User/1.0; +https://perplexity.ai/perplexity-user"),
        COMPATIBLE.format("PerplexityBot/1.0; +https://perplexity.ai/perplexitybot"),
        COMPATIBLE.format("Claude-User/1.0; +Claude-User@anthropic.com"),
        COMPATIBLE.format("MistralAI-User/1.0; +https://docs.mistral.ai/robots"),
        "DuckAssistBot/1.2; (+http://duckduckgo.com/duckassistbot.html)",
    ],
    "monitoring": [
        "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
        "Mozilla/5.0 (compatible; StatusCake)",
        "check_http/v2.3.3 (nagios-plugins 2.3.3)",
        "Blackbox Exporter/0.24.0",
        "Uptime-Kuma/1.23.11",
    ],
    "feed": [
        "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 12 subscribers; like FeedFetcher-Google)",
        "Tiny Tiny RSS/23.05-a5d5c6 (https://tt-rss.org/)",
        "FreshRSS/1.20.0 (Linux; https://freshrss.org)",
        "Mozilla/5.0 (compatible; Miniflux/2.0.49; +https://miniflux.app)",
        "NewsBlur Feed Fetcher - 5 subscribers",
        "Inoreader/1.0 (+http://www.inoreader.com/feed-fetcher; 2 subscribers; )",
    ],
    "library": [
        "",
        "   ",
        "curl/8.5.0",
        "Wget/1.21.4",
        "python-requests/2.31.0",
        "Python-urllib/3.11",
        "python-httpx/0.27.0",
        "Go-http-client/2.0",
        "okhttp/4.12.0",
        "axios/1.6.2",
        "node-fetch",
        "Java/17.0.1",
        "libwww-perl/6.68",
        "Apache-HttpClient/4.5.13 (Java/11)",
    ],
    "other": [
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Twitterbot/1.0",
        "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
        "Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36",
    ],
}


@pytest.mark.parametrize(("kind", "user_agent"), [(kind, user_agent) for kind, bots in BOTS.items() for user_agent in bots])
def test_a_bot_is_told_with_its_kind(kind: str, user_agent: str):
    assert agent(user_agent).bot == kind


# None is tagged in crawler-user-agents; the last, `is-bot` does not find.
@pytest.mark.parametrize(
    "user_agent",
    ["GuzzleHttp/7", "reqwest/0.11.22", "undici", "PostmanRuntime/7.36.0", "Faraday v2.7.4", "Deno/1.38", "Bun/1.0", "Dart/3.2 (dart:io)"],
)
def test_further_libraries_are_libraries(user_agent: str):
    assert agent(user_agent).bot == "library"


# None is tagged in crawler-user-agents; the last, `is-bot` does not find.
@pytest.mark.parametrize(
    "user_agent",
    [
        "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)",
        "NetNewsWire (RSS Reader; https://netnewswire.com/)",
        "Liferea/1.14.0 (Linux; https://lzone.de/liferea/) AppleWebKit (KHTML, like Gecko)",
        "Newsboat/2.30.1 (Linux x86_64)",
        "Akregator/5.18; syndication",
    ],
)
def test_further_feed_readers_are_feed_readers(user_agent: str):
    assert agent(user_agent).bot == "feed"


def test_a_bot_has_no_device():
    assert agent("Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) Mobile Safari/537.36 (compatible; Googlebot/2.1)").device == ""


# --- browsers, systems, devices --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140", ("Chrome", "Linux", "desktop")),
        ("Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0", ("Firefox", "Windows", "desktop")),
        ("Version/18.5 Safari/605.1.15", ("Safari", "Mac OS X", "desktop")),
        ("Version/18.5 Mobile/15E148", ("Mobile Safari", "iOS", "mobile")),
        ("iPad; CPU OS 15_8", ("Mobile Safari", "iOS", "tablet")),
        ("Edg/142", ("Edge", "Windows", "desktop")),
        ("OPR/119", ("Opera", "Windows", "desktop")),
        ("SAMSUNG SM-S918B", ("Samsung Internet", "Android", "mobile")),
        ("SAMSUNG SM-T870", ("Samsung Internet", "Android", "tablet")),
        ("Android 10; K)", ("Chrome Mobile", "Android", "mobile")),
        ("SM-X906C", ("Chrome", "Android", "tablet")),
        ("Android 13; Tablet", ("Firefox Mobile", "Android", "tablet")),
        ("CriOS/126.0.6478.54", ("Chrome Mobile iOS", "iOS", "mobile")),
        ("CrOS x86_64", ("Chrome", "Chrome OS", "desktop")),
        ("SMART-TV; Linux; Tizen 6.0", ("Samsung Internet", "Tizen", "tv")),
        ("PlayStation 5", ("Safari", "", "tv")),
        ("Xbox Series X", ("Edge", "Windows", "tv")),
        ("[LinkedInApp]/9.29", ("Mobile Safari UI/WKWebView", "iOS", "mobile")),
        ("FBAN/FBIOS", ("Facebook", "iOS", "mobile")),
        ("KFTRWI", ("Amazon Silk", "Android", "tablet")),
        ("Vivaldi/7", ("Vivaldi", "Windows", "desktop")),
        ("Trident/7.0", ("IE", "Windows", "desktop")),
    ],
)
def test_browser_system_and_device_are_read(part: str, expected: tuple[str, str, str]):
    browser = next(browser for browser in BROWSERS.splitlines() if part in browser)
    assert agent(browser)[:3] == expected


@pytest.mark.parametrize("browser", BROWSERS.strip().splitlines())
def test_every_browser_has_a_device(browser: str):
    assert agent(browser).bot or agent(browser).device in ("desktop", "mobile", "tablet", "tv")


# --- what is kept, and what it costs ---------------------------------------------------------------------------------------


def test_no_version_and_no_model_is_kept():
    found = agent(
        "Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro Build/CANARY) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.7.7.7 Mobile Safari/537.36"
    )
    assert found == Agent("Chrome Mobile", "Android", "mobile", "")


# ua-parser's pattern for Apple's CFNetwork returns all that stands in front of it.
@pytest.mark.parametrize("begin", ["", "Mozilla/5.0 (X11; Linux x86_64) ", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) "])
@pytest.mark.parametrize("hostile", ["jane@example.org", "\x1b[31m", "<script>", '"', "x" * 300, "\n", "\u202e", "4711-4711-4711"])
def test_no_raw_piece_of_a_user_agent_is_taken_for_a_browser(begin: str, hostile: str):
    assert hostile not in agent(f"{begin}{hostile} CANARY/1.2 CFNetwork/1.0 Darwin/22.0").browser


# ua-parser's patterns for unknown bots return a piece of the text itself.
@pytest.mark.parametrize(
    "user_agent", ["jane doe 4711 crawler/1.0", "MyApp-jane_doe_spider", "Mozilla/5.0 (compatible; jane-doe-4711-bot/1.0)"]
)
def test_the_name_of_an_unknown_bot_is_not_kept(user_agent: str):
    assert "jane" not in agent(user_agent).browser.lower()


HOSTILE = {
    "one letter": b"A" * 100_000,
    "an endless beginning": b"Mozilla/5.0 (" * 8000,
    "no text": b"\xff" * 100_000,
    "every byte": bytes(range(256)) * 400,
    "Android": b"Android " * 12_500,
    "bot": b"bot " * 25_000,
    "names and numbers": b"x/1.0 " * 17_000,
    "brackets": b"(" * 100_000,
    "spaces": b" " * 100_000,
    "semicolons": b"Mozilla/5.0 (Linux; " + b"; " * 50_000,
    "Chrome": b"Chrome/1." * 11_000,
    "almost an e-mail client": b"a-b_c.d " * 12_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_user_agent_of_100_kilobytes_costs_little_and_leaves_little(name: str):
    agent("warm up")
    began = time.perf_counter()
    found = read_agent(HOSTILE[name])
    assert time.perf_counter() - began < 0.5
    assert all(len(part) <= 100 for part in found)


def test_only_the_beginning_of_a_user_agent_is_looked_at():
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    assert agent(firefox.ljust(LONGEST_AGENT) + "Googlebot/2.1").bot == ""
    assert agent(firefox + " Googlebot/2.1").bot == "search"


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(deadline=None, max_examples=200)
def test_any_user_agent_gives_an_agent_that_can_be_stored(user_agent: bytes):
    found = read_agent(user_agent)
    assert found.bot in KINDS | {""}
    assert bool(found.device) != bool(found.bot)
    for part in found:
        assert part == "" or part.isprintable()
        part.encode()
