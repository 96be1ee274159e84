"""Names that other people's CNAMEs lead to: block one, and the half of the web that stands on it fails.

Knows: the names, by kind.  Does not know: who tries to block them.
Theory: answers are judged along their CNAME chain, so a rule for `trafficmanager.net` blocks every site
whose answer passes through it.  What one company uses for itself alone, and what only measures or
advertises, is not here: lists may well mean that.
Sources: the private part of the Public Suffix List, tables by which others tell a content network from a
CNAME, and the providers' own manuals.
"""

from __future__ import annotations

from functools import cache

from resolver.wire.names import name_from_text

INFRASTRUCTURE_BY_KIND: dict[str, str] = {
    "a content network": """
        akadns.net akadns6.net akadns88.net akagtm.org akahost.net akamai.net akamai-staging.net
        akamaiedge.net akamaiedge-staging.net akamaientrypoint.net akamaihd.net akamaihd-staging.net
        akamaiorigin.net akamaiorigin-staging.net akamaistream.net akamaitech.net akamaitechnologies.com
        akamaized.net akamaized-staging.net edgekey.net edgekey-staging.net edgesuite.net
        edgesuite-staging.net srip.net tl88.net ytcdn.net
        cloudflare.net cloudflaressl.com cloudflarestream.com imagedelivery.net
        videodelivery.net
        edgecompute.app fastly.net fastly-edge.com fastlylb.net
        cloudfront.net
        azureedge.net azurefd.cn azurefd.net msecnd.net mschcdn.com
        a-msedge.net ax-msedge.net b-msedge.net c-msedge.net dc-msedge.net e-msedge.net fb-t-msedge.net
        l-msedge.net msedge.net s-msedge.net spo-msedge.net t-msedge.net
        aaplimg.com apple-dns.net
        cdn77.net cdn77.org cdn77-ssl.net
        b-cdn.net
        kxcdn.com
        hwcdn.net netdna-cdn.com netdna-ssl.com netdna.com stackpathcdn.com stackpathdns.com
        stackpathedge.net alphacdn.net edgecastcdn.net edgecastdns.net edgio.link edgio.net layer0.link
        layer0-perma.link lldns.net llnwd.net llnwi.net mucdn.net nucdn.net systemcdn.net transactcdn.net
        unud.net v0cdn.net v1cdn.net v2cdn.net v3cdn.net v4cdn.net v5cdn.net zetacdn.net
        footprint.net fpbns.net nsatc.net
        cdnga.net cdngc.net cdnetworks.net gccdn.cn gccdn.net panthercdn.com txcdn.cn txnetworks.cn
        gcdn.co gcorelabs.net
        arvancdn.com arvancdn.ir azioncdn.com azioncdn.net azionedge.net
        mncdn.com mncdn.net mncdn.org
        att-dsa.net belugacdn.com bitgravity.com cachefly.net cdn-edges.net cdnify.io cdnsun.net cdntel.net
        cdnvideo.ru cubecdn.net gocache.net inscname.net insnw.net internapcdn.net jsdelivr.net kinxcdn.com
        kinxcdn.net lswcdn.eu lswcdn.net mirror-image.net ngenix.net presscdn.com quic.cloud rackcdn.com
        raxcdn.com revcn.net revdn.net rncdn1.com simplecdn.net squixa.net swiftcdn1.com swiftserve.com
        turbobytes-cdn.com turbobytes.net voxcdn.net worldcdn.net worldssl.net yottaa.net zeit-cdn.net
        alicdn.com alikunlun.com alikunlun.net cdngslb.com kunlunaq.com kunlunar.com kunlunca.com
        kunluncan.com kunlunea.com kunlungem.com kunlungr.com kunlunhuf.com kunlunle.com kunlunli.com
        kunlunno.com kunlunpi.com kunlunra.com kunlunsa.com kunlunsc.com kunlunsl.com kunlunso.com
        kunlunta.com kunlunvi.com kunlunwe.com taobaocdn.com tbcache.com
        cdntip.com dnsv1.com dnsv1.com.cn tcdn.qq.com tcdnvod.com tdnsv5.com tencdns.net tencent-cloud.net
        cdnhwc1.com cdnhwc2.com cdnhwc3.com
        bdydns.com bdydns.net jomodns.com shifen.com yunjiasu-cdn.net
        bytegslb.com qcloudcdn.com volcgslb.com
        51cdn.com cdn20.com cdn20.info chinanetcenter.com customcdn.cn customcdn.com customcdn.com.cn
        lxdns.com lxdns.info mwcloudcdn.com mwcname.com ourglb0.com ourwebcdn.com ourwebcdn.net
        ourwebpic.com qtlcdn.com qtlglb.com speedcdns.com wscdns.com wscloudcdn.com wsdvs.com wsglb0.com
        wswebcdn.com wswebpic.com wtxcdn.com
        c3cache.net c3cdn.net c3dns.net ccgslb.cn ccgslb.com ccgslb.com.cn ccgslb.net chinacache.net 126.net
        163jiasu.com 360cdn.com aicdn.com bsclink.cn bsgslb.cn bsgslb.com cachecn.com cdndo.com cloudcdn.net
        cloudglb.com clouddn.com dlgslb.cn dnion.com ewcache.com fastcdn.cn fastcdn.com fastwebcdn.com
        flxdns.com fwcdn.com fwdns.net globalcdn.cn hacdn.net hadns.net jcloud-cdn.com jcloudcs.com
        jcloudgslb.com jdcdn.com ks-cdn.com ksyuncdn-k1.com ksyuncdn.com lsycdn.com momentcdn.com msscdn.com
        ogslb.com qh-cdn.com qhcdn.com qihucdn.com qingcdn.com qiniucdn.com qiniudns.com sinacdn.com
        sinaedge.com spdydns.com tan14.net tlgslb.com trpcdn.net upaiyun.com upcdn.net uxengine.net
        verycdn.net verygslb.com xgslb.net
    """,
    "a shield against attacks": """
        360anyu.com 360cloudwaf.com 360safedns.com 360wzb.com 360wzws.com alicloudlayer.com alicloudsec.com
        aligaofang.com anquan.io dayugslb.com ddos-guard.net impervadns.net incapdns.net jiashule.com
        jiasule.org myracloud.com newdefend.cn prolexic.com prolexic.net qrator.net radwarecloud.net
        sucuri.net sucuridns.com wsssec.com yundunddos.com zenedge.net
    """,
    "a load balancer": """
        awsglobalaccelerator.com cedexis.net cdxcn.cn flexbalancer.net jcloudlb.com trafficmanager.cn
        trafficmanager.net usgovtrafficmanager.net ves.io volterra.us
    """,
    "a cloud": """
        amazonaws.com amazonaws.com.cn amplifyapp.com awsapprunner.com elasticbeanstalk.com on.aws
        azure-api.net azure-mobile.net azure.com azurecontainer.io azurecontainerapps.io azurestaticapps.net
        azurewebsites.net chinacloudapi.cn chinacloudapp.cn chinacloudsites.cn cloudapp.net
        usgovcloudapi.net usgovcloudapp.net windows.net
        1e100.net appspot.com cloudfunctions.net firebaseapp.com ghs.google.com googleapis.com
        googlehosted.com googleusercontent.com gstatic.com l.google.com run.app web.app
        cfargotunnel.com cloudflarestorage.com pages.dev r2.dev workers.dev
        digitaloceanspaces.com ondigitalocean.app
        linodeobjects.com linodeusercontent.com vultrobjects.com
        oraclecloud.com oraclecloud.net oraclecloudapps.com
        appdomain.cloud bluemix.net mybluemix.net softlayer.net
        aliyun-inc.com aliyuncs.com bcebos.com huaweicloud.com myhuaweicloud.com myqcloud.com qbox.me
        qingcloud.com ucloud.cn ucloud.com.cn volces.com yandexcloud.net
        clever-cloud.com cleverapps.io fly.dev fly.io herokuapp.com herokudns.com herokussl.com netlify.app
        netlify.com netlifyglobalcdn.com now.sh onrender.com platform.sh platformsh.site railway.app
        scw.cloud vercel-dns.com vercel.app
        force.com salesforce-sites.com site.com siteforce.com
    """,
    "a host of many web sites": """
        acquia-sites.com adobeaemcloud.com adobecqms.net aem.live cc-ecdn.net cloudwaysapps.com
        demandware.net flywheelsites.com ghost.io hlx.live hscoscdn10.net hscoscdn20.net hscoscdn30.net
        hscoscdn40.net hs-sites.com hubspot.net hubspotpagebuilder.com kinsta.cloud magento.cloud
        magentocloud.com
        myshopify.com pantheonsite.io readmessl.com sqsp.net squarespace.com stspg-customer.com
        unbouncepages.com webflow.com webflow.io wixdns.net wixsite.com wp.com wpengine.com
        wpenginepowered.com wpeproxy.com
    """,
    "a mail platform": """
        activehosted.com amazonses.com antispamcloud.com barracudanetworks.com ccsend.com createsend.com
        customeriomail.com emailsrvr.com en25.com exacttarget.com forwardemail.net hornetsecurity.com
        hubspotemail.net improvmx.com iphmx.com klaviyomail.com kundenserver.de mailchimpapp.net
        mailcontrol.com mailgun.net mailgun.org mailjet.com mandrillapp.com mcdlv.net mcsv.net
        mail.icloud.com messagelabs.com messagingengine.com migadu.com mimecast.com mktoweb.com mtasv.net
        mxlogic.net
        mxrouting.net onmicrosoft.com outlook.com pphosted.com ppe-hosted.com protonmail.ch psmtp.com
        pstmrk.it rsgsv.net sendgrid.net sendinblue.com sparkpostmail.com yahoodns.net zohomail.com
    """,
    "an identity platform": """
        accounts.dev amazoncognito.com auth0.com b2clogin.com ciamlogin.com clerk.services
        cloudflareaccess.com duosecurity.com fusionauth.io jumpcloud.com kinde.com lync.com
        microsoftonline.com msauth.net msftauth.net msidentity.com okta-emea.com okta.com oktacdn.com
        oktapreview.com onelogin.com pingone.com pingone.eu
    """,
    "name servers of many domains": """
        afraid.org akam.net alidns.com anycast.me azure-dns.com azure-dns.info azure-dns.net azure-dns.org
        cloudns.net constellix.com constellix.net digitalocean.com dns-parking.com dnsimple-edge.com
        dnsimple-edge.net dnsimple-edge.org dnsimple.com dnsmadeeasy.com dnsowl.com dnspod.com dnspod.net
        dnsv2.com dnsv3.com dnsv4.com dnsv5.com domaincontrol.com dynadot.com dynect.net ffdns.net
        first-ns.de foundationdns.com foundationdns.net foundationdns.org gandi.net googledomains.com
        gtld-servers.net he.net hetzner.com hichina.com hichina.net iana-servers.net inwx.de linode.com
        loopia.se name-services.com nic.ru nsone.net nstld.com ovh.net pch.net porkbun.com rackspace.com
        rcode0.net reg.ru register.com registrar-servers.com second-ns.com second-ns.de secureserver.net
        selectel.org squarespacedns.com stabletransit.com transip.net ui-dns.biz ui-dns.com ui-dns.de
        ui-dns.org ultradns.biz ultradns.co.uk ultradns.com ultradns.info ultradns.net ultradns.org
        verisigndns.com wikimedia-dns.org worldnic.com yandex.net your-server.de zoneedit.com
    """,
}
"""What it is -> the names; all of it written by people."""

AWS_ZONES = tuple(
    f"awsdns-{number:02d}.{end}" for number in range(64) for end in ("com", "net", "org", "co.uk")
)
"""Route 53 spreads its name servers over these (its manual: "awsdns-00 to awsdns-63")."""


WITHIN_BY_KIND: dict[str, str] = {
    "a content network": """
        cdn.cloudflare.net
        tc.cdntip.com cdn.dnsv1.com dsa.dnsv1.com cdn.dnsv1.com.cn
        w.alikunlun.com w.cdngslb.com w.kunlunaq.com w.kunlunar.com w.kunlunca.com w.kunluncan.com
        w.kunlunea.com w.kunlungr.com w.kunlunhuf.com w.kunlunle.com w.kunlunpi.com w.kunlunra.com
        w.kunlunsl.com w.kunlunso.com
    """,
    "a shield against attacks": "x.incapdns.net ng.impervadns.net",
    "a cloud": """
        blob.core.windows.net core.windows.net database.windows.net file.core.windows.net
        queue.core.windows.net servicebus.windows.net table.core.windows.net web.core.windows.net
        bc.googleusercontent.com ghs.googlehosted.com
        apex-loadbalancer.netlify.com cname.vercel-dns.com cname-china.vercel-dns.com
    """,
    "a host of many web sites": """
        balancer.wixdns.net cdn.webflow.com proxy.webflow.com proxy-ssl.webflow.com shops.myshopify.com
        ext-cust.squarespace.com ext-sq.squarespace.com hosted.ghost.io
    """,
    "a mail platform": "mail.protection.outlook.com protection.outlook.com wl.sendgrid.net eu.mailgun.org",
    "an identity platform": "customdomains.okta.com edge.tenants.auth0.com tenants.auth0.com",
}
"""The same for names under those above, where one name there is as a rule one site's."""

AKAMAI_MAPS = tuple(
    f"{label}.{zone}"
    for zone in ("akamai.net", "akamaiedge.net")
    for label in (*"abcdefghwx", *(f"dsc{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"))
)
"""Its machines stand under these: `e1234.dscb.akamaiedge.net`."""

AWS_REGIONS = """
    af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1
    ap-southeast-2 ap-southeast-3 ap-southeast-4 ca-central-1 ca-west-1 eu-central-1 eu-central-2
    eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1
    sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2
""".split()  # noqa: SIM905 - a list of words is read more easily than one of quotes.
AWS_SERVICES = tuple(
    f"{service}{region}.amazonaws.com" for region in AWS_REGIONS for service in ("", "elb.", "execute-api.")
)
"""Load balancers and interfaces of its customers, by region."""


@cache
def infrastructure() -> dict[bytes, str]:
    """Give each name in wire form, and what it is."""
    known = {
        name_from_text(name): what
        for table in (INFRASTRUCTURE_BY_KIND, WITHIN_BY_KIND)
        for what, names in table.items()
        for name in names.split()
    }
    for what, names in (
        ("name servers of many domains", AWS_ZONES),
        ("a content network", AKAMAI_MAPS),
        ("a cloud", AWS_SERVICES),
    ):
        known.update((name_from_text(name), what) for name in names)
    return known
