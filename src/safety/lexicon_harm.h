/*-------------------------------------------------------------------------
 *
 * lexicon_harm.h
 *	  More words of the content filter: abuse and crime. Read by lexicon.c alone.
 *
 *-------------------------------------------------------------------------
 */
/* clang-format off */
	/* all of a group are ... : the group may have any name */
	W(ALL_OF, "", "all|every|those|these|such|people from|people of|alle|diese|solche|jeder|samtliche|tous les|toutes les|tous ces|todos los|todas las|todos esos|"
		"todos os|todas as|todos esses|tutti i|tutte le|tutti gli|tutti quei|quei|quegli|typical|typisch|the whole lot of|alle diese"),
	W(ARE, "", "are|is|were born|aren't|ain't|sind|ist|taugen|sont|est|son|sao|sono|are just|are nothing but|nothing but|nichts als|que des|no son mas que|"
		"nao passam de|non sono altro"),
	W(BAD_TRAIT, "en", "criminals|born criminals|thieves|liars|cheats|rapists|murderers|terrorists|parasites|lazy|stinking|smelly|subhuman|uncivilised|uncivilized|savages|"
		"scroungers|freeloaders|too stupid|stupid by|less intelligent|dumber|vermin|scum|sneaky|untrustworthy|retarded|a plague|not human|not people|"
		"not real people|born to steal|mentally ill|perverts|paedophiles|pedophiles|good for nothing"),
	W(BAD_TRAIT, "de", "kriminell|kriminelle|verbrecher|diebe|lugner|betruger|vergewaltiger|morder|terroristen|schmarotzer|faul|faulpelze|stinken|unzivilisiert|zu dumm|"
		"abschaum|hinterhaltig|keine menschen|keine richtigen|geisteskrank|kinderschander|nichtsnutze|nichts wert|gesindel"),
	W(BAD_TRAIT, "fr", "criminels|criminel|voleurs|menteurs|tricheurs|violeurs|assassins|terroristes|parasites|paresseux|faineants|feignants|puants|crasseux|incivilises|"
		"trop betes|trop cons|racaille|racailles|cupides|fourbes|pas humains|pas des humains|malades mentaux|pedophiles|bons a rien|delinquants|profiteurs"),
	W(BAD_TRAIT, "es", "criminales|delincuentes|ladrones|mentirosos|tramposos|violadores|asesinos|terroristas|parasitos|vagos|perezosos|holgazanes|apestosos|incivilizados|"
		"demasiado tontos|escoria|avariciosos|traicioneros|no son humanos|no son personas|enfermos mentales|pervertidos|pedofilos|aprovechados|gentuza|chusma"),
	W(BAD_TRAIT, "pt", "criminosos|bandidos|ladroes|mentirosos|trapaceiros|estupradores|violadores|assassinos|terroristas|parasitas|vagabundos|preguicosos|fedorentos|"
		"incivilizados|burros|escoria|gananciosos|traicoeiros|nao sao humanos|nao sao gente|doentes mentais|pervertidos|pedofilos|aproveitadores|gentalha"),
	W(BAD_TRAIT, "it", "criminali|delinquenti|ladri|bugiardi|imbroglioni|stupratori|assassini|terroristi|parassiti|pigri|fannulloni|puzzano|puzzolenti|incivili|"
		"troppo stupidi|feccia|avidi|infidi|non sono umani|non sono persone|malati di mente|pervertiti|pedofili|buoni a nulla|scrocconi|gentaglia"),
	W(PROVE, "", "proves that|proving that|showing that|shows that|showing why|why all|why the|that says so|says so|claiming that|arguing that|convince people|convinces people|explaining why|make people hate|der zeigt, dass|das zeigt, dass|beweist, dass|zeigt, dass|zeigt dass|"
		"warum alle|behauptet, dass|prouve que|montre que|montrant que|prouvant que|explique pourquoi|disant que|que muestre que|demuestre que|demostrando que|diciendo que|explicando por que|que mostre que|a mostrar que|mostrando que|provando que|prove que|dizendo que|"
		"explicando por que|che dimostri che|che dimostra|dimostrando che|che mostri|che provi|dicendo che|spiegando perche"),
	W(GO_BACK, "", "go back to your country|go back to where you|go back where you|back where you came from|back where they came from|send them back|send them all back|"
		"throw them out|throw them all out|kick them out|kick them all out|don't belong here|do not belong here|has no place here|have no place here|"
		"belongs in the kitchen|belong in the kitchen|back to the kitchen|get back in the kitchen|women belong|should not be allowed to vote|"
		"shouldn't be allowed to vote|should never have been let|geh zuruck, wo du|geht zuruck, wo|geh zuruck in dein|geht zuruck in euer|zuruck, wo sie her|"
		"zuruck in ihr land|gehoren nicht hierher|gehoren alle raus|gehoren raus|gehoren weg|gehort weg|alle rausgeworfen|schmeisst sie raus|"
		"alle rausschmeissen|gehoren in die kuche|gehort in die kuche|gehoren an den herd|gehort an den herd|zuruck an den herd|rentre dans ton pays|"
		"rentrez chez vous|retourne dans ton pays|retournez dans votre pays|retourne d'ou tu|dehors tous|tous dehors|n'ont rien a faire ici|"
		"n'a rien a faire ici|qu'ils rentrent chez eux|il faut tous les chasser|les foutre dehors|foutons-les|les virer tous|a la cuisine|"
		"retourne a la cuisine|vuelve a tu pais|vete a tu pais|volved a vuestro|vuelvan a su pais|largate a tu|fuera todos|todos fuera|que se vuelvan|"
		"que se larguen|no pintan nada aqui|hay que echarlos|echarlos a todos|a la cocina|volta pro teu pais|volta para o teu pais|volta pra tua terra|"
		"volta para a tua terra|volta pra sua terra|volte para seu pais|volte pro seu pais|voltem para|rua com eles|fora com eles|nao tem lugar aqui|"
		"nao pertencem aqui|correr com eles|ser todos corridos|expulsar todos|volta pra cozinha|voltem pra cozinha|lugar de mulher|torna al tuo paese|"
		"tornatene al|tornatevene|tornate a casa vostra|torna a casa tua|tornino a casa|fuori dal nostro|fuori dai piedi|via tutti|bisogna cacciarli|"
		"cacciarli tutti|cacciarli via|in cucina|al loro paese|rispedirli|rimandarli tutti|every last one of them|ship them back|ship them all|"
		"send every one of them|alle abschieben|jeden einzelnen abschieben|jeden einzelnen von denen|qu'on les renvoie|renvoyez-les|qu'on les expulse|"
		"que los deporten|deportarlos a todos|que los echen a todos|deportem todos|deporta-los todos|rimandateli|rispediteli|deportateli|only come here to|"
		"only come to leech|kommen nur zum schmarotzen|kommen nur um|viennent juste profiter|viennent profiter|solo vienen a chupar|solo vienen a robar|"
		"vienen a quitarnos|so vem mamar|so vem roubar|vem ca roubar|vengono solo a|vengono a rubarci"),
	W(ARE_ALL, "", "are all|is all|were all|are just|are nothing but|are basically|sind alle|sind doch alle|sind alles|sind nur|sind doch nur|sont tous|sont toutes|ne sont que|c'est tous|son todos|son todas|son unos|no son mas que|sao todos|sao todas|sao uns|sao tudo|nao passam de|sono tutti|sono tutte|sono solo|sono dei"),
	W(COMPOSE, "", "write|draft|compose|give me|make me|make up|come up with|generate|invent|help me|schreib|schreibe|schreib mir|verfass*|formulier*|gib mir|dichte|erfinde|hilf mir|erstell*|ecris|ecris-moi|redige|fais-moi|fais moi|donne-moi|invente|aide-moi|prepare|escribe|escribeme|redacta|"
		"hazme|haz|dame|inventa|ayudame|escreve|escreve-me|escreva|faz|faz-me|faca|cria|crie|inventa|ajuda-me|me ajuda|me ajude|scrivi|scrivimi|fammi|dammi|crea|creami|inventa|aiutami|prepara|redigi"),
	/* nasty words about somebody, written to be sent */
	W(NASTY, "", "nasty|meanest|cruel|cruelest|vicious|hurtful|hateful|humiliating|insulting|degrading|spiteful|malicious|threatening|intimidating|menacing|offensive|"
		"vile|demeaning|insults|gemein*|fies*|grausam*|verletzend*|hasserfullt*|erniedrigend*|demutigend*|beleidigend*|boshaft*|gehassig*|bosartig*|"
		"bedrohlich*|drohend*|herabwurdigend*|beleidigung*|drohbrief*|drohmail*|mechant*|cruel*|blessant*|haineu*|humiliant*|degradant*|insultant*|vexant*|"
		"malveillant*|menacant*|insultes|injures|odieux|odieuse*|hirient*|humillant*|ofensiv*|malvad*|despiadad*|amenazant*|insultos|maldos*|crueis|humilhant*|"
		"insultuos*|ameacador*|maldade*|cattiv*|crudel*|offensiv*|umiliant*|velenos*|minacci*|perfid*|insulti|offese|ingiuri*|mean comments|mean messages|"
		"mean texts|mean posts|mean jokes"),
	W(MESSAGES, "", "comment|comments|message|messages|text|texts|post|posts|dm|dms|email|emails|letter|letters|note|notes|poem|song|rap|speech|tweet|tweets|review|reviews|meme|memes|jokes|joke|nickname*|caption*|kommentar*|nachricht*|textnachricht*|brief|briefe|mail|mails|beitrag|"
		"beitrage|gedicht|lied|rede|witz|witze|spruch|spruche|spitzname*|commentaire*|messages|texte|textes|lettre*|poeme|chanson|blague*|surnom*|publication*|comentario*|mensaje*|carta|cartas|poema|cancion|discurso|chiste|chistes|apodo*|publicacion*|texto*|"
		"mensagem|mensagens|recado*|poema|musica|piada*|apelido*|alcunha*|comment*|messagg*|lettera|lettere|poesia|canzone|discorso|battut*|barzellett*|soprannom*|testo|testi|biglietto|frasi|phrases|frases|satze|list|liste|lista"),
	W(SEND_AT, "", "to post under|under her|under his|under my|to send to|to send my|to send her|to send him|about my|about her|about him|about the fat|about a girl|about a boy|against my|at my|for my ex|to my ex|to my classmate|to my colleague|to my neighbo*|uber meine|uber meinen|"
		"an meine|an meinen|gegen meine|gegen meinen|unter ihre|unter seine|unter die fotos|fur meine ex|uber die dicke|uber den dicken|sur ma|sur mon|a ma|a mon|contre ma|contre mon|sous ses|sous les photos|pour ma|pour mon|a envoyer|sobre mi|a mi|contra mi|para mi|"
		"para mandar*|bajo sus|en sus fotos|sobre a minha|sobre o meu|sobre minha|sobre meu|contra a minha|contra o meu|para a minha|para o meu|para minha|para meu|para eu mandar|nas fotos|a uma colega|a um colega|sulla mia|sul mio|alla mia|al mio|contro la mia|"
		"contro il mio|per la mia|per il mio|da mandare|sotto le|sotto le sue|a un compagno|a una compagna|del mio compagno|della mia"),
	W(SHAME_GOAL, "", "make her cry|make him cry|makes her cry|makes him cry|feel disgusting|feel worthless|feel small|feel like dirt|hate herself|hate himself|"
		"hates herself|ashamed of|so she never|so he never|leave the school|leave school|drop out|ruin her|ruin his|destroy her|destroy his|until she cries|"
		"until he cries|damit sie weint|damit er weint|zum weinen|sich schamt|nicht mehr in die schule|nicht mehr zur schule|nicht mehr traut|schule wechsel*|"
		"klasse wechsel*|kundigt|fertig machen|fertigmachen|zur sau|am boden zerstort|pleurer|ait honte|aient honte|se sente nul*|se sente mal|se deteste|"
		"quitte l'ecole|quitte la classe|n'ose plus|change d'ecole|demissionne|llore|llorar|de verguenza|le de verguenza|se averguence|deje la escuela|"
		"deje el colegio|se cambie de|no se atreva|se hunda|chore|chorar|ter vergonha|tenha vergonha|se envergonhe|saia da escola|sair da escola|"
		"mude de escola|se demita|nao tenha coragem|pianga|piangere|si vergogn*|cambi scuola|lasci la scuola|si licenzi|non abbia il coraggio|crolli|"
		"non esca piu|feels disgusting|feels worthless|damit sie sich nicht|damit er sich nicht|se sienta mal|se sienta una|se sienta un|si senta una|"
		"se sinta um"),
	W(MENACE, "", "better watch her back|better watch his back|better watch your back|watch your back|you'd better run|i'm coming for you|we're coming for you|"
		"i am coming for you|you won't see tomorrow|you won't live|won't live to see|you're a dead|break your legs|break your arms|break your neck|"
		"break your jaw|break your face|break every bone|break his legs|break her legs|rip your|cut your throat|slit your throat|put a bullet|burn your house|"
		"burn down your|kill your family|hurt your family|what happens to your|something might happen to|sleep with one eye|you're gonna regret|gonna get you|"
		"make you suffer|make you bleed|beat you up|pass bloss auf|dreh dich besser|dreh dich nicht um|mach dich fertig|machen dich fertig|mache dich fertig|"
		"brech dir|breche dir|brechen dir|bring dich um|bringe dich um|bringen dich um|mach dich kalt|mache dich kalt|stech dich ab|knall dich ab|du bist tot|"
		"bist so gut wie tot|zund dein|zunde dein|du wirst es bereuen|das uberlebst du|ich komm vorbei und|casser la gueule|peter la gueule|te buter|"
		"te saigner|t'egorger|te faire la peau|surveille tes arrieres|fais gaffe a toi|fais attention a toi, sinon|t'es mort|tu vas crever|tu vas le regretter|"
		"tu vas regretter|on va s'occuper de toi|partir la cara|romperte|te rompo|te reviento|te voy a matar|te vamos a matar|te voy a romper|te voy a partir|"
		"te voy a rajar|te rajo|te vas a arrepentir|te arrepentiras|te voy a quemar|voy a por ti|vamos a por ti|quebrar a cara|quebrar tua|quebrar sua|"
		"te arrebento|vou te matar|vou-te matar|te mato|mato-te|vou te furar|te furo|voce esta morto|tas morto|estas morto|vais arrepender-te|"
		"vai se arrepender|tacar fogo na|queimo a tua|spacco la|spaccare la|ti rompo|ti faccio fuori|ti ammazzo|ti sgozzo|ti sparo|stai attento quando|"
		"te ne pentirai|ve ne pentirete|ti pentirai|brucio la tua|vengo sotto casa|te parto la|te parto a|tu vas finir a l'hopital|guardati le spalle quando|"
		"in the ground|under the ground|six feet under|landest du unter|unter der erde|unter die erde|finis sous terre|sous terre|acabas bajo tierra|"
		"bajo tierra te|te entierro|acabas debaixo da terra|debaixo da terra|sete palmos|finisci sotto terra|ti sotterro|ti metto sotto terra"),
	W(SCORN, "", "everyone at the office hates|nobody wants you|no one wants you|nobody can stand you|no one can stand you|everyone laughs at you|everyone is laughing|"
		"your own mother|your parents regret|your parents are ashamed|you'll never amount|you will never amount|you make me sick|you disgust me|"
		"keiner mag dich|keiner will dich|niemand will dich|keiner kann dich|niemand kann dich|alle lachen uber dich|deine eltern schamen|aus dir wird nie|"
		"du ekelst mich|du widerst mich|du kotzt mich an|personne ne te veut|personne ne te supporte|personne te supporte|personne t'aime|"
		"tout le monde se moque de toi|tout le monde te hait|tes parents ont honte|tu me degoutes|tu me donnes envie de vomir|nadie te soporta|"
		"nadie te aguanta|ni tus companeros|todos se rien de ti|tus padres se averguenzan|me das asco|que asco das|que pena das|ninguem te quer|"
		"ninguem te suporta|ninguem te atura|ninguem gosta de ti|todos riem de|todo mundo ri de|teus pais tem vergonha|me das nojo|tenho nojo de|"
		"voce me da nojo|nessuno ti vuole|nessuno ti sopporta|tutti ridono di te|i tuoi si vergognano|mi fai schifo|fai schifo a tutti|mi fai vomitare|"
		"back in your hole|back into your hole|crawl back|kriech zuruck|zuruck in dein loch|retourne dans ton trou|vuelve a tu agujero|volta pro teu buraco|"
		"volta para o teu buraco|volta pro seu buraco|torna nel tuo buco|dumbest excuse|sorry excuse for|poor excuse for|poor excuse of|excuse for a human|"
		"das dummste, was|die dummste, die|der dummste, den|l'etre le plus stupide|la personne la plus stupide|lo mas tonto que|la persona mas tonta|"
		"coisa mais burra|pessoa mais burra|cosa piu stupida|persona piu stupida|die holle auf erden|leben zur holle|dein leben hier die holle|"
		"make your life hell|make your life a living|de ta vie un enfer|de tu vida un infierno|da tua vida um inferno|da sua vida um inferno|"
		"della tua vita un inferno"),
	W(INSULT, "", "dreckstuck|stuck dreck|stuck scheisse|stinkstiefel|widerling|hackfresse|fettsack|fette sau|fette kuh|dumme kuh|dumme sau|blode kuh|dumme gans|"
		"hohlkopf|vollhorst|penner|grosse merde|pauvre merde|pauvre type|pauvre con|pauvre conne|sale con|grosse truie|truie|gros porc|gros tas|salopard|"
		"enfoire*|tas de merde|guignol|gorda asquerosa|vaca gorda|mamarracho|cretino|cretina|zopenco|mequetrefe|sinverguenza|cerdo asqueroso|escoria humana|"
		"puta basura|gorda nojenta|lixo humano|lixo de|otario|panaca|nojenta|grassona|sfigato|sfigata|merda umana|rifiuto umano|fallita|inetto|zoticone|lurid*|"
		"lump of|fat cow|fat pig|fat ass|ugly cow|scumbag|lowlife|nitwit|douchebag|dipshit|shithead|dirtbag|tosser|pillock|loser"),
	/* so that nobody notices, in more words; alarms and traces */
	W(UNDETECTED, "", "nobody finds out|no one finds out|nobody notices|no one notices|no one ever finds|without anyone finding|without anybody|without getting noticed|"
		"without getting found|and not get caught|not getting caught|can't be traced|cannot be traced|can't trace|not be traced|can't be proven|"
		"cannot be proven|without raising suspicion|no suspicion|looks natural|looks like suicide|look like suicide|natural causes|setting off the alarm|"
		"setting off an alarm|without the alarm|without an alarm|without leaving fingerprints|no fingerprints|wipe the evidence|destroy the evidence|"
		"get rid of the evidence|behind her back|behind his back|without her noticing|without him noticing|without them noticing|without it showing|on the sly|"
		"ohne dass mich|nicht auffliegt|nicht auffliege|nicht auffalle|nie rauskommt|nicht gefasst|keine fingerabdrucke|wie selbstmord|wie naturlich*|"
		"naturlicher tod|hinter ihrem rucken|hinter seinem rucken|alarmanlage losgeht|alarm losgeht|alarm auslos*|keiner was merkt|niemand etwas merkt|"
		"niemand was merkt|niemand es merkt|nichts davon merkt|nichts merkt|sans qu'on s'en|sans que quiconque|sans que mes|sans que ma|sans que mon|"
		"sans alerter|sans alarme|l'alarme se|l'alarme sonne|ni vu ni connu|sans empreinte*|ait l'air d'un accident|mort naturelle|dans son dos|"
		"ne s'en apercoive|s'en apercoive|s'en rende compte|remonter jusqu'a moi|ne pas me faire|ne se doute|sin que salte|salte la alarma|sin que suene|"
		"suene la alarma|sin alarma|sin huellas|sin que lo note|sin que lo noten|nadie se de cuenta|nadie se enter*|nadie lo sepa|nadie sepa|nadie note|"
		"a sus espaldas|muerte natural|que no me pillen|no me pillen|no me cojan|no me descubran|no me atrapen|no puedan rastrear*|sem disparar|"
		"dispare o alarme|o alarme tocar|sem alarme|sem impressoes|sem me apanharem|nao me apanhem|nao me peguem|nao ser apanhado|nao ser pego|"
		"sem dar nas vistas|sem dar na vista|ninguem dar|ninguem saiba|ninguem saber|ninguem desconfi*|ninguem descobr*|ninguem perceb*|pelas costas|"
		"morte natural|sem que notem|senza far scattare|scatti l'allarme|suoni l'allarme|senza allarme|senza impronte|senza che mi|non mi becchino|"
		"non mi scoprano|non farmi beccare|non farmi scoprire|nessuno si accorg*|nessuno lo scopra|nessuno lo sappia|nessuno sappia|nessuno scopra|"
		"alle sue spalle|morte naturale|se ne accorga|se ne accorgano|risalgano a me|ohne dass es wer|ohne dass es einer|ohne dass die nachbarn|"
		"ohne dass die polizei|ohne dass die alarm*|ninguem dar conta|ninguem dar por|ninguem de por|senza che il proprietario|sans que la victime"),
	W(DIE, "", "dies|he dies|she dies|heart attack|stops breathing|never wakes up|doesn't wake up|lethal|stirbt|sterben|herzinfarkt|nicht mehr aufwacht|todlich*|"
		"meure|mourir|creve|crise cardiaque|ne se reveille|mortel*|letal*|muera|morir|muerto|infarto|no despierte|morra|morrer|morto|nao acorde|muoia|morire|"
		"muore|non si svegli|mortale|so that he dies|so that she dies|they die|dass er stirbt|dass sie stirbt|to die"),
	W(ENTER, "", "get into|get in|break in|break into|enter|climb into|sneak into|slip into|open the door|open a door|unlock|komme ich|komm ich|komm ich nachts|reinkommen|hineinkommen|rein kommen|einsteig*|eindring*|offne ich|offnen|aufmachen|aufbrechen|entrer|m'introduire|"
		"s'introduire|penetrer|ouvrir|forcer|entro|entrar|meterme|colarme|abrir|forzar|invadir|penetrar|arrombar|entrare|introdurmi|intrufolarmi|aprire|forzare|passare"),
	W(HOME, "", "house|home|flat|apartment|villa|garage|office at night|shop|store|shop window|warehouse|car|cars|haus|wohnung|villa|keller|geschaft|laden|lager|autos|auto|fremdes|maison|appartement|magasin|entrepot|voiture*|casa|piso|apartamento|chalet|tienda|almacen|coche*|"
		"apartamento|loja|armazem|carro*|appartamento|villetta|negozio|magazzino|macchin*|auto"),
	/* to look like a bank or an office, so that people hand over what is theirs */
	W(IMITATE, "", "looks like it's from|looks like it is from|looks like it came from|looks like its from|looks as if|look like it's from|looks official|sounds like the|in the name of|as if it were from|as if from|as if i were|as if it was|pretend*|posing|pose as|impersonat*|"
		"im namen|als kame sie|als kame es|als ware|als ob|aussieht wie|aussieht, als|so aussieht|von der bank stammt|gebe mich|ausgebe|ausgeben|ausgibt|vortausch*|imitier*|imite|imiter|imitant|comme si|se fait passer|fait passer|me fais passer|qui a l'air|au nom de|"
		"semble venir|imitar|imita|imitando|como si fuera|como si viniera|como si|parezca|en nombre de|hago pasar|haga pasar|fingir|fingiendo|se passe|passe por|passar por|como se fosse|como se viesse|pareca|em nome d*|fingindo|imitare|imiti|come se|sembri|"
		"sembra venire|a nome d*|mi fingo|mi spaccio|fingo|spacciar*"),
	W(BANK, "", "bank|banks|sparkasse|volksbank|paypal|tax office|revenue|irs|hmrc|post office|delivery company|courier|parcel service|police|insurance|netflix|amazon|grandson|granddaughter|microsoft|it department|support team|finanzamt|polizei|post|paketdienst|enkel|krankenkasse|"
		"versicherung|zoll|banque|impots|la poste|police|fisc|petit-fils|assurance|caf|banco|hacienda|correos|policia|nieto|seguridad social|seguro|financas|correios|policia|neto|seguradora|receita federal|inss|banca|agenzia delle entrate|poste|polizia|"
		"carabinieri|nipote|corriere|inps|caixa"),
	W(HAND_OVER, "", "give me their|give me the|giving me|give away|hand over|hand me|enter their|enter the|type in|type their|card number*|card details|pin|pins|codes|"
		"passwords|login|logins|log in|log-in|savings|transfer money|send money|send me money|click|credentials|tan|tans|an die tan|zugangsdaten|kartennummer*|"
		"kartendaten|kontodaten|passwort*|eingeben|eingibt|geld uberweis*|geld schick*|herausgeb*|rausruck*|verrat*|ersparnisse|donne leur|donnent leur*|"
		"me donnent|donner leur*|leurs codes|leur code|code|identifiants|numero*|virement|argent|cliquent|clique|su clave|sus claves|claves|clave|contrasen*|"
		"tarjeta*|datos|dinero|pinchen|ahorros|me darem|me deem|dar a senha|a senha|senha*|codigo*|cartao|cartoes|dados|dinheiro|cliquem|pix|mi dia|mi dica|"
		"mi diano|mi dicano|il codice|codici|codice|password|carta|dati|soldi|clicchi*|bonific*|risparmi|me den su|me de su|me de sus|me de a|dar sus"),
	W(TRACK, "", "track|tracking|spy|spy on|spyware|see where|where she goes|where he goes|where she is|where he is|read her|read his|read their|listen in|"
		"listen to her|listen to his|bug her|watch her|watch him|stalk|stalking|gps tracker|airtag|hidden camera|orten|uberwach*|ausspah*|ausspion*|abhor*|"
		"mitles*|wo sie ist|wo er ist|wo sie hingeht|wo er hingeht|wohin sie|wohin er|peilsender|versteckte kamera|spionier*|nachstell*|pister|espionn*|"
		"surveill*|traquer|lire ses|ecouter ses|ou elle est|ou elle va|ou il va|mouchard|camera cachee|traceur|rastre*|espi*|vigilar|seguir a|leer sus|"
		"donde esta|donde va|a donde va|camara oculta|rastreador|vigiar|ler as|onde ela|onde ele|por onde anda|camara escondida|camera escondida|tracciare|"
		"spiare|spio|pedinare|leggere i|dove va|dov'e|telecamera nascosta|localizzatore|microspia|localiser|localizar a|localizzare la|localizzare il|"
		"seguir a mi|seguire la mia|suivre ma"),
	W(PHONE, "", "phone|mobile|whatsapp|messages|location|car|snapchat|instagram|laptop|bag|bedroom|bathroom|handy|nachrichten|standort|auto|tasche|schlafzimmer|badezimmer|telephone|portable|messages|position|voiture|sac|chambre|salle de bain*|movil|celular|telefono|mensajes|ubicacion|"
		"coche|bolso|habitacion|bano|telemovel|celular|telefone|mensagens|localizacao|carro|bolsa|quarto|banheiro|telefono|cellulare|messaggi|posizione|macchina|borsa|camera da letto|bagno"),
	W(BLACKMAIL, "", "blackmail*|ransom note|ransom letter|pay or i|pays or|pay up or|unless she pays|unless he pays|unless they pay|or else i will publish|erpress*|"
		"losegeldbrief|sonst veroffentlich*|wenn er nicht zahlt|wenn sie nicht zahlt|chantage|faire chanter|s'il ne paie pas|si elle ne paie pas|chantaje*|"
		"extorsi*|si no paga|si no pagan|chantag*|extorqu*|se nao pagar|se nao pagarem|ricatt*|estorc*|estors*|se non paga|se non pagano|extort|extorting|"
		"extortion letter"),
	W(URGE_DIE, "", "swallow them all|take the whole bottle|take all the pills|end it tonight|just end it|end it already|end your life|cut deeper|pull the trigger|"
		"just do it, nobody|just kill yourself|kill yourself|go kill|go and die|hang yourself|drink bleach|drink the bleach|slit your wrists|you should die|"
		"you should just die|you should be dead|bring dich um|bring dich endlich|bring dich doch|hang dich auf|erhang dich|spring doch|spring einfach|"
		"schluck sie alle|schluck alle|schluck die ganze|nimm alle tabletten|nimm die ganze|schneid tiefer|mach schluss mit dir|mach dem ein ende|"
		"stirb endlich|geh sterben|bring's hinter dich|tue-toi|tuez-vous|suicide-toi|pends-toi|va te pendre|va crever|avale tout|avale les tous|avale la boite|"
		"avale-les|prends toute la boite|coupe plus|ouvre-toi les veines|suicidate|ahorcate|cuelgate|tomatelas|tragatelas|tragate todo|tomate todas|"
		"cortate las|acaba con tu vida|quitate la vida|muerete|mata-te|enforca-te|se enforca|atira-te|pula logo|toma a caixa|engole tudo|engole todos|"
		"corta os pulsos|acaba com a tua vida|acaba com a sua vida|morre logo|ammazzati|ucciditi|suicidati|impiccati|buttati|buttati giu|buttati dal|"
		"prendile tutte|ingoiale tutte|ingoia tutto|manda giu tutto|tagliati le vene|falla finita|facciamola finita con te|togliti la vita|togliti di mezzo|"
		"jump off the bridge already|just jump off|se mata logo|se mata de uma|se mata e|te mata logo|matate y|matate de|matate ya|salta dal|pula da ponte|"
		"saute du pont|tirate del|tirate por la ventana|spring von der brucke|take the rope|grab the rope|nimm den strick|nimm dir einen strick|"
		"prends la corde|coge la cuerda|agarra la cuerda|pega a corda|pega na corda|prendi la corda|nobody would even notice if you|"
		"nobody would notice if you were gone|no one would notice if you|keiner merken, wenn du|personne ne remarquerait ton|nadie notaria que|"
		"nadie notaria tu|ninguem ia notar a tua|ninguem ia notar sua|ninguem notaria|nessuno noterebbe la tua|nessuno se ne accorgerebbe se"),
	W(DRINK, "", "coffee|tea|soup|food|drink|meal|dinner|lunch|wine|beer|water bottle|smoothie|kaffee|suppe|essen|getrank|kuchen|wein|bier|cafe|soupe|repas|nourriture|"
		"boisson|gateau|vin|biere|sopa|comida|bebida|cena|vino|cerveza|vaso|jantar|vinho|cerveja|copo|caffe|zuppa|minestra|cibo|bevanda|bicchiere|birra|"
		"ins glas|im tee|in den tee|son verre|dans le the|en el te"),
	W(POISON, "", "poison|rat poison|arsenic|cyanide|strychnine|thallium|antifreeze|rattengift|arsen|zyankali|frostschutzmittel|mort-aux-rats|cyanure|antigel|veneno|"
		"matarratas|arsenico|cianuro|anticongelante|chumbinho|cianeto|veleno|topicida|antigelo|welches gift|das gift|gift kann|gift in|gift ins|gift unter"),
	W(VICTIM, "", "my husband|my husband's|my wife|my wife's|my boss|my boss's|my mother-in-law*|my father-in-law*|my neighbo*|my ex|my ex's|my roommate*|my colleague*|my coworker*|my stepfather*|my uncle*|my grandmother*|my grandfather*|my girlfriend*|my boyfriend*|meinem mann|"
		"meinen mann|meines mannes|meiner frau|meine frau|meinem chef|meinen chef|meiner schwiegermutter|meinem schwiegervater|meinem nachbarn|meinen nachbarn|meiner nachbarin|meiner ex|meinem ex|meinem kollegen|meiner kollegin|meinem onkel|meiner oma|meiner tante|"
		"meiner freundin|meinem freund|mon mari|ma femme|mon patron|mon chef|ma belle-mere|mon beau-pere|mon voisin|ma voisine|mon ex|mon collegue|ma collegue|mon oncle|ma copine|mon copain|ma grand-mere|mi marido|mi mujer|mi esposa|mi jefe|mi jefa|mi suegra|"
		"mi suegro|mi vecino|mi vecina|mi ex|mi companer*|mi tio|mi abuela|mi novia|mi novio|meu marido|minha mulher|minha esposa|meu chefe|minha sogra|meu sogro|meu vizinho|minha vizinha|meu ex|minha ex|meu colega|meu tio|minha avo|minha namorada|meu namorado|"
		"mio marito|mia moglie|mio capo|mia suocera|mio suocero|mio vicino|mia vicina|mio ex|mia ex|mio collega|mia collega|mio zio|mia nonna|mia ragazza|mio ragazzo|mia fidanzata|mio fidanzato"),
	W(HOUSE_CHEM, "", "household chemical*|cleaning product*|cleaning chemical*|cleaners|cleaning agents|fertilizer|fertiliser|hardware store|garage|kitchen|putzmittel*|reiniger|haushaltsreiniger|reinigungsmittel|dunger|baumarkt|haushaltschemie|chemikalien|produits menagers|produits d'entretien|"
		"engrais|bricolage|droguerie|productos de limpieza|fertilizante*|ferreteria|quimicos|produtos de limpeza|produtos quimicos|adubo|loja de ferragens|detersiv*|prodotti per la pulizia|prodotti chimici|fertilizzante|ferramenta|chemicals|chemical"),
	W(EXPLODE, "", "explode|explodes|exploding|explosion|blow up|blows up|goes boom|go boom|toxic gas|poisonous gas|deadly gas|knallt|explodier*|in die luft|hochgeht|hochgehen|giftiges gas|explose|exploser|exploserait|saute|gaz toxique|gaz mortel|explote|explotar|estalle|estallar|reviente|"
		"gas toxico|gas mortal|explodir|exploda|rebente|rebentar|gas mortal|esploda|esplodere|scoppi|scoppiare|gas tossico|gas letale"),
	W(SIGNED, "", "doctor's signature|signature of|signature|prescription*|unterschrift*|rezept vom|signature du|ordonnance*|firma del|firma de|receta del|recetas|assinatura*|receita medica|firma del medico|ricetta medica|ricette|passport*|id card*|ausweis*|passeport*|carte d'identite|pasaporte*|"
		"dni|carnet*|passaporte*|identidade|passaport*|carta d'identita|patente|diploma*|zeugnis*|diplome*|titulo|laurea|payslip*|gehaltsnachweis*|fiche de paie|nomina|recibo|busta paga|sick note|krankschreibung|arret maladie|baja medica|atestado"),
	W(FORGE_I, "", "i forge|to forge|i fake|to fake|can i fake|forge a|forge my|fake a|fake my|ich falsche|falsche ich|falsch ich|zu falschen|selbst falschen|falschen kann|nachmachen|imiter la|falsifier|contrefaire|je falsifie|faux papiers|falsifico|falsificar|falsifico a|imitar la|imitar a|"
		"falsificar|forjar|contraffare|imitare la|falsificare"),
	W(TEST_OVER, "", "only a test|just a test|was a test|were a test|test is over|were fake|were a joke|nur ein test|test ist vorbei|war ein test|waren ein test|n'etaient qu'un test|etait un test|le test est fini|test est termine|solo una prueba|era una prueba|la prueba termino|prueba ha terminado|"
		"ya termino|so um teste|era um teste|teste acabou|ja acabou|solo una prova|solo un test|era una prova|era un test|test e finito|ora e finita"),
	W(MAKE, "", "combine|combined|melange|melanger|mezclo|mezclar|misturo|misturar|mescolo|mescolare|mischt"),
	/* what makes a text about such things harmless */
	W(BENIGN, "en", "poster|stop bullying|my dog ate|my cat ate|my son swallowed|my daughter swallowed|swallowed|report it|in the game|the game|on level|level|loadout|"
		"boss fight|dragon|quest|raid|detective|thriller|crime novel|chapter|character|characters|homework|who can i talk|who do i talk|who to talk|"
		"someone to talk|don't know who|number i can|i can call|should i go|see a doctor|emergency|vet|gp|i receive|i get threats|i'm being|i am being|"
		"is being bullied|was sentenced|sentenced|arrested|convicted|police said|court|trial|romans|siege|century|refund|order number|my order|"
		"cancel my contract|warns|warning|fire brigade|leaflet|stay safe|ants|ameisen|fourmis|hormigas|formigas|formiche|how do i report|reply to|answer to|"
		"complaint|beschwerde|reclamation|reclamacion|reclamacao|queja|reclamo|of joy|with joy|with laughter|vor freude|vor lachen|de joie|de rire|de alegria|"
		"de risa|di gioia|dalle risate|wedding|hochzeit|mariage|boda|casamento|matrimonio|safety data sheet|museum guide"),
	W(BENIGN, "de", "plakat|aushang|mein hund hat|meine katze hat|gefressen|verschluckt|im spiel|in dem spiel|spielfigur|drachen|endboss|level|krimi|thriller|kapitel|"
		"figur|szene|hausaufgabe*|mit wem|reden kann|nummer, die|notruf|tierarzt|ich werde|wird gemobbt|verurteilt|festgenommen|polizei meldet|gericht|urteil|"
		"jahrhundert|belagerung|rechnung|bestellung|geld zuruck|kundigen|warnt|warnung|feuerwehr|wo bekomme ich hilfe|anzeige|anzeigen|nicht mehr leben"),
	W(BENIGN, "fr", "affiche|a avale|a mange|mon chien|mon chat|dans le jeu|le jeu|niveau|dragon|polar|policier|chapitre|personnage|scene|devoir|a qui|m'adresser|parler a|"
		"numero d'ecoute|urgences|veterinaire|je suis harcele*|me harcele|est harcele*|condamne*|la police a|tribunal|proces|siecle|siege|commande|rembourse*|"
		"resilier|met en garde|pompiers|plainte|porter plainte|je n'en peux plus|envie de mourir"),
	W(BENIGN, "es", "cartel|se comio|se trago|comio|mi perro|mi gato|en el juego|el juego|nivel|dragon|policiaca|capitulo|personaje|escena|deberes|con quien|hablar con|"
		"telefono de ayuda|ayuda|urgencias|veterinario|me acosa|me acosan|me estan|condenad*|detenid*|arrestad*|juicio|tribunal|siglo|asedio|pedido|reembolso|"
		"mi dinero|servicio|avisa de|bomberos|denunci*|ganas de morir*|no puedo mas"),
	W(BENIGN, "pt", "cartaz|comeu|engoliu|meu cao|meu cachorro|o meu gato|no jogo|o jogo|nivel|dragao|policial|capitulo|personagem|trabalho de casa|com quem|falar com|"
		"numero de apoio|apoio|urgencia|emergencia|veterinario|me persegue|persegue-me|condenad*|detid*|julgamento|tribunal|seculo|cerco|encomenda|reembolso|"
		"meu dinheiro|servico|alerta para|bombeiros|denunci*|vontade de morrer|nao aguento"),
	W(BENIGN, "it", "cartello|ha mangiato|ha ingoiato|ha ingerito|mio cane|mio gatto|nel gioco|il gioco|livello|drago|giallo|capitolo|personaggio|scena|compiti|con chi|"
		"parlare con|numero di aiuto|aiuto|pronto soccorso|veterinario|mi perseguita|mi minaccia|condannat*|arrestat*|processo|tribunale|secolo|assedio|"
		"rimborso|miei soldi|servizio|avvisa|vigili del fuoco|denunci*|voglia di morire|non ce la faccio"),
	/* clang-format on */
